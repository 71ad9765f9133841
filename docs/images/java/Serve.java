// Java as SageMaker hosts it. The lines with marks give the lab its phases.
import com.google.gson.Gson;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;

public class Serve {
    record Model(double[] weights, double bias) {}
    record Query(double[][] instances) {}

    static final Map<String, Long> marks = new LinkedHashMap<>();
    static final Gson gson = new Gson();
    static Model model = new Model(new double[] {1, 1, 1, 1}, 0);

    static long now() {
        return System.currentTimeMillis() * 1_000_000;
    }

    public static void main(String[] args) throws Exception {
        marks.put("interpreter", now());
        gson.fromJson("{}", Query.class); // Java loads classes when they are first used
        HttpServer server = HttpServer.create();
        marks.put("imports", now());
        Path file = Path.of("/opt/ml/model/model.json");
        if (Files.exists(file)) model = gson.fromJson(Files.readString(file), Model.class);
        marks.put("model_loaded", now());
        predict("{\"instances\": [[0, 0, 0, 0]]}"); // so that the first request finds everything warm
        marks.put("warmed_up", now());
        String[] stat = Files.readString(Path.of("/proc/1/stat")).split(".*\\) ")[1].split(" ");
        String up = Files.readString(Path.of("/proc/uptime")).split(" ")[0];
        long boot = now() - (long) (Double.parseDouble(up) * 1e9);
        marks.put("process", boot + Long.parseLong(stat[19]) * 10_000_000);
        System.out.println(gson.toJson(Map.of("lab_startup", Map.of("schema", 1, "marks", marks))));

        ExecutorService pool = Executors.newFixedThreadPool(16);
        server.setExecutor(pool);
        server.createContext("/ping", exchange -> answer(exchange, 200, ""));
        server.createContext("/invocations", Serve::invocations);
        server.createContext("/", exchange -> answer(exchange, 404, ""));
        String port = System.getenv().getOrDefault("SAGEMAKER_BIND_TO_PORT", "8080");
        server.bind(new InetSocketAddress(Integer.parseInt(port)), 1024);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> stop(pool))); // SIGTERM
        server.start();
        if (System.getenv("WARM_UP_ONLY") != null) { // while the image is built
            URI.create("http://127.0.0.1:" + port + "/ping").toURL().openStream().close();
            System.exit(0);
        }
    }

    static void stop(ExecutorService pool) {
        try {
            Thread.sleep(1000); // for what still waits in the socket's queue
            pool.shutdown(); // what was accepted is answered
            pool.awaitTermination(25, TimeUnit.SECONDS);
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
        }
    }

    static double[] predict(String body) {
        double[][] rows = gson.fromJson(body, Query.class).instances();
        double[] sums = new double[rows.length];
        for (int row = 0; row < rows.length; row++) {
            if (rows[row].length != model.weights().length)
                throw new IllegalArgumentException("not " + model.weights().length + " numbers");
            sums[row] = model.bias();
            for (int i = 0; i < rows[row].length; i++) sums[row] += model.weights()[i] * rows[row][i];
        }
        return sums;
    }

    static void invocations(HttpExchange exchange) throws IOException {
        String type = exchange.getRequestHeaders().getFirst("Content-Type");
        String body = new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.UTF_8);
        if (!exchange.getRequestMethod().equals("POST")) {
            answer(exchange, 405, "");
        } else if (type == null || !type.split(";")[0].equals("application/json")) {
            answer(exchange, 415, "{\"error\": \"application/json is what this model reads\"}");
        } else {
            try {
                answer(exchange, 200, gson.toJson(Map.of("predictions", predict(body))));
            } catch (RuntimeException error) {
                answer(exchange, 400, gson.toJson(Map.of("error", String.valueOf(error))));
            }
        }
    }

    static void answer(HttpExchange exchange, int status, String content) throws IOException {
        byte[] body = content.getBytes(StandardCharsets.UTF_8);
        if (body.length > 0) exchange.getResponseHeaders().set("Content-Type", "application/json");
        exchange.sendResponseHeaders(status, body.length == 0 ? -1 : body.length);
        exchange.getResponseBody().write(body);
        exchange.close();
    }
}
