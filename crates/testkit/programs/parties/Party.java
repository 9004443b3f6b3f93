// An HTTP party: `serve PORT`, or `ask METHOD URL BODY_BYTES ...`; see party.py.
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.HashMap;
import java.util.Map;

public class Party {
    static void answer(HttpExchange exchange) throws IOException {
        exchange.getRequestBody().readAllBytes();
        Map<String, String> query = new HashMap<>();
        for (String pair : exchange.getRequestURI().getRawQuery().split("&")) {
            query.put(pair.split("=")[0], pair.split("=")[1]);
        }
        byte[] body = "a".repeat(Integer.parseInt(query.getOrDefault("size", "0"))).getBytes();
        int status = Integer.parseInt(query.getOrDefault("status", "200"));
        exchange.getResponseHeaders().set("X-Id", exchange.getRequestURI().toString());
        if (exchange.getRequestMethod().equals("HEAD") || body.length == 0) {
            exchange.sendResponseHeaders(status, -1);
        } else {
            exchange.sendResponseHeaders(status, query.containsKey("chunked") ? 0 : body.length);
            exchange.getResponseBody().write(body);
        }
        exchange.close();
    }

    static void ask(String[] words) throws Exception {
        HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
        for (int at = 1; at < words.length; at += 3) {
            String body = "b".repeat(Integer.parseInt(words[at + 2]));
            var publisher = body.isEmpty()
                ? HttpRequest.BodyPublishers.noBody() : HttpRequest.BodyPublishers.ofString(body);
            var request = HttpRequest.newBuilder(URI.create(words[at + 1])).method(words[at], publisher).build();
            client.send(request, HttpResponse.BodyHandlers.ofByteArray());
        }
    }

    public static void main(String[] words) throws Exception {
        if (words[0].equals("serve")) {
            HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(words[1])), 0);
            server.createContext("/", Party::answer);
            server.start();
        } else {
            ask(words);
        }
    }
}
