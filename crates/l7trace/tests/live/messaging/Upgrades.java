import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;

/** Asks a proxy at this port for HTTP/2 by an upgrade, and prints every row that must be told of both its sides. */
class Upgrades {
    private static final int REQUESTS = 400;
    private static final int AT_ONCE = 80;

    private static void row(HttpResponse<?> response) {
        HttpRequest request = response.request();
        for (int side = 0; side < 2; side++) {
            String row = "[\"%s\",\"%s\",\"%d\"]";
            System.out.println(row.formatted(request.method(), request.uri().getPath(), response.statusCode()));
        }
    }

    public static void main(String[] words) throws Exception {
        HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_2).build();
        URI base = URI.create("http://127.0.0.1:" + words[0]);
        HttpResponse<Void> first = client.send(HttpRequest.newBuilder(base.resolve("/first")).build(), BodyHandlers.discarding());
        if (first.version() != HttpClient.Version.HTTP_2) throw new IllegalStateException("not upgraded");
        row(first);
        List<CompletableFuture<HttpResponse<byte[]>>> waiting = new ArrayList<>();
        for (int i = 0; i < REQUESTS; i++) {
            HttpRequest.Builder request = HttpRequest.newBuilder(base.resolve("/" + i % 5));
            if (i % 3 == 0) request.POST(BodyPublishers.ofByteArray(new byte[i * 100]));
            waiting.add(client.sendAsync(request.build(), BodyHandlers.ofByteArray()));
            if (waiting.size() == AT_ONCE) {
                waiting.forEach(one -> row(one.join()));
                waiting.clear();
            }
        }
    }
}
