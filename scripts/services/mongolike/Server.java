import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.MongoVersion;
import de.bwaldvogel.mongo.backend.memory.MemoryBackend;
import java.util.List;

/** Listens at a port of 127.0.0.1 until it is ended. */
public class Server {
    public static void main(String[] arguments) throws InterruptedException {
        // The version that it names itself is refused by drivers of today, which ask for nothing else of
        // it than it can do.
        MongoVersion version = new MongoVersion() {
            @Override
            public List<Integer> getVersionArray() {
                return List.of(6, 0, 0);
            }

            @Override
            public int getWireVersion() {
                return 17;
            }
        };
        MongoServer server = new MongoServer(new MemoryBackend().version(version));
        Runtime.getRuntime().addShutdownHook(new Thread(server::shutdownNow));
        server.bind("127.0.0.1", Integer.parseInt(arguments[0]));
        Thread.currentThread().join();
    }
}
