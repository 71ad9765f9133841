// Node.js as SageMaker hosts it. The lines with `marks` give the lab its phases.
"use strict";
const now = () => Math.round((performance.timeOrigin + performance.now()) * 1e6);
const marks = { interpreter: now() };

const fs = require("node:fs");
const http = require("node:http");

marks.imports = now();
const file = "/opt/ml/model/model.json";
const model = fs.existsSync(file)
  ? JSON.parse(fs.readFileSync(file))
  : { weights: [1, 1, 1, 1], bias: 0 };
marks.model_loaded = now();

// It runs on the one thread that answers /ping, too: what takes longer than some 100 ms belongs
// into a worker_threads pool.
function predict(body) {
  return JSON.parse(body).instances.map((row) => {
    if (row.length !== model.weights.length || !row.every(Number.isFinite))
      throw new TypeError(`not ${model.weights.length} numbers: ${JSON.stringify(row)}`);
    return row.reduce((sum, x, index) => sum + model.weights[index] * x, model.bias);
  });
}

predict('{"instances": [[0, 0, 0, 0]]}'); // so that the first request finds everything warm
marks.warmed_up = now();
const ticks = fs.readFileSync("/proc/1/stat", "utf8").split(") ").pop().split(" ")[19]; // since boot
marks.process = now() - parseFloat(fs.readFileSync("/proc/uptime", "utf8")) * 1e9 + ticks * 1e7;
console.log(JSON.stringify({ lab_startup: { schema: 1, marks } }));

const server = http.createServer((request, response) => {
  const answer = (status, content) => {
    const body = content ? JSON.stringify(content) : "";
    // Without its length the answer goes out in chunks: an asynchronous endpoint takes none.
    const headers = { "Content-Length": Buffer.byteLength(body) };
    if (content) headers["Content-Type"] = "application/json";
    response.writeHead(status, headers).end(body);
  };
  if (request.method === "GET" && request.url === "/ping") return answer(200);
  if (request.method !== "POST" || request.url !== "/invocations") return answer(404);
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    if (!/^application\/json\b/.test(request.headers["content-type"]))
      return answer(415, { error: "application/json is what this model reads" });
    try {
      answer(200, { predictions: predict(Buffer.concat(chunks)) });
    } catch (error) {
      answer(400, { error: String(error) });
    }
  });
});
server.keepAliveTimeout = 75_000; // it is the client that closes, never the server just as it sends
server.listen({ port: process.env.SAGEMAKER_BIND_TO_PORT ?? 8080, backlog: 1024 });
// A second for what still waits in the socket's queue; then what was accepted is answered.
process.on("SIGTERM", () => setTimeout(() => server.close(), 1000));
