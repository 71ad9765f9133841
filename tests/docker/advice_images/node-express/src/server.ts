import express, { NextFunction, Request, Response } from "express";
import _ from "lodash";

const weights = [0.5, -0.25, 0.125, 2.0];
const bias = 1.0;

const app = express();
app.use(express.json({ limit: "25mb" }));

app.get("/ping", (_request: Request, response: Response) => {
  response.status(200).end();
});

app.post("/invocations", (request: Request, response: Response) => {
  if (!request.is("application/json")) {
    response.status(415).json({ error: "only application/json" });
    return;
  }
  const rows = request.body.instances;
  if (!_.isArray(rows) || !rows.every((row) => _.isArray(row) && row.length === weights.length)) {
    response.status(400).json({ error: "instances: a list of lists of 4 numbers" });
    return;
  }
  response.json({
    predictions: rows.map((row) => _.sum(_.zipWith(row, weights, (x, w) => Number(x) * w)) + bias),
  });
});

app.use((error: any, _request: Request, response: Response, _next: NextFunction) => {
  response.status(error.status ?? 500).json({ error: String(error.message) });
});

const server = app.listen(8080, "0.0.0.0");
process.on("SIGTERM", () => server.close());
