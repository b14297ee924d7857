import java.nio.ByteBuffer;
import java.nio.file.*;
import java.util.*;
import org.apache.kafka.common.record.*;

/** Reads the records that Jackdaw wrote (first folder) with kafka-clients and compares them with the fixtures (second folder). */
public class Check {
    static List<String> read(Path file) throws Exception {
        List<String> all = new ArrayList<>();
        MemoryRecords records = MemoryRecords.readableRecords(ByteBuffer.wrap(Files.readAllBytes(file)));
        for (MutableRecordBatch batch : records.batches()) {
            batch.ensureValid();
            all.add(batch.magic() + " " + batch.compressionType() + " " + batch.lastOffset() + " " + batch.maxTimestamp() + " " + batch.timestampType());
            for (org.apache.kafka.common.record.Record record : batch) {
                record.ensureValid();
                all.add(record.offset() + " " + record.timestamp() + " " + text(record.key()) + " " + text(record.value()) + " " + Arrays.toString(record.headers()));
            }
        }
        return all;
    }

    static String text(ByteBuffer buffer) {
        return buffer == null ? "null" : org.apache.kafka.common.utils.Utils.utf8(buffer.duplicate());
    }

    public static void main(String[] args) throws Exception {
        int files = 0;
        try (DirectoryStream<Path> ours = Files.newDirectoryStream(Paths.get(args[0]), "*.bin")) {
            for (Path file : ours) {
                Path wanted = Paths.get(args[1]).resolve(file.getFileName());
                if (!read(file).equals(read(wanted))) throw new AssertionError(file + " differs:\n" + read(file) + "\n" + read(wanted));
                files++;
            }
        }
        System.out.println(files + " files are read alike");
    }
}
