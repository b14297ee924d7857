import java.io.*;
import java.nio.ByteBuffer;
import java.nio.file.*;
import java.util.*;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.record.*;

/** Writes the record fixtures beside this file with kafka-clients 2.7.1: javac and java with its jars, argument: the folder. */
public class Golden {
    static final long BASE_TIME = 1_600_000_000_000L;

    static byte[] bytes(String text) {
        return text == null ? null : text.getBytes();
    }

    static String repeat(String text, int times) {
        StringBuilder all = new StringBuilder();
        for (int i = 0; i < times; i++) all.append(text);
        return all.toString();
    }

    /** Record i of a fixture: every third has no key, every fifth no value, every fourth two headers (magic 2). */
    static void append(MemoryRecordsBuilder builder, int i, byte magic, int valueRepeat) {
        byte[] key = i % 3 == 2 ? null : bytes("key-" + i);
        byte[] value = i % 5 == 4 ? null : bytes(repeat("value " + i + ";", valueRepeat));
        Header[] headers = magic == 2 && i % 4 == 3
            ? new Header[] {new RecordHeader("a", bytes("header " + i)), new RecordHeader("", null)}
            : new Header[0];
        long time = magic == 0 ? -1 : BASE_TIME + (i * 37) % 100;
        builder.append(time, key, value, headers);
    }

    static void write(Path dir, String name, MemoryRecords records) throws IOException {
        ByteBuffer buffer = records.buffer().duplicate();
        byte[] all = new byte[buffer.remaining()];
        buffer.get(all);
        Files.write(dir.resolve(name + ".bin"), all);
    }

    static MemoryRecordsBuilder builder(byte magic, CompressionType codec, TimestampType type, long base) {
        return MemoryRecords.builder(ByteBuffer.allocate(1 << 20), magic, codec, type, base, BASE_TIME + 5000);
    }

    public static void main(String[] args) throws IOException {
        Path dir = Paths.get(args[0]);
        for (byte magic = 0; magic <= 2; magic++) {
            for (CompressionType codec : CompressionType.values()) {
                if (magic < 2 && codec == CompressionType.ZSTD) continue;
                MemoryRecordsBuilder small = builder(magic, codec, TimestampType.CREATE_TIME, 70);
                for (int i = 0; i < 12; i++) append(small, i, magic, 1);
                write(dir, "v" + magic + "-" + codec.name, small.build());
                // Several blocks of lz4 and snappy.
                MemoryRecordsBuilder large = builder(magic, codec, TimestampType.CREATE_TIME, 70);
                for (int i = 0; i < 12; i++) append(large, i, magic, 1500);
                if (codec != CompressionType.NONE) write(dir, "v" + magic + "-" + codec.name + "-large", large.build());
            }
            if (magic > 0) {
                MemoryRecordsBuilder stamped = builder(magic, CompressionType.GZIP, TimestampType.LOG_APPEND_TIME, 70);
                for (int i = 0; i < 12; i++) append(stamped, i, magic, 1);
                write(dir, "v" + magic + "-gzip-logappendtime", stamped.build());
                MemoryRecordsBuilder plain = builder(magic, CompressionType.NONE, TimestampType.LOG_APPEND_TIME, 70);
                for (int i = 0; i < 12; i++) append(plain, i, magic, 1);
                write(dir, "v" + magic + "-none-logappendtime", plain.build());
            }
        }
        MemoryRecordsBuilder transactional = MemoryRecords.builder(ByteBuffer.allocate(4096), (byte) 2, CompressionType.NONE,
            TimestampType.CREATE_TIME, 70, -1, 4711, (short) 3, Integer.MAX_VALUE - 5, true, false, 9);
        for (int i = 0; i < 12; i++) append(transactional, i, (byte) 2, 1);
        write(dir, "v2-none-transactional", transactional.build());
        write(dir, "v2-commit-marker", MemoryRecords.withEndTransactionMarker(70, BASE_TIME, 9, 4711, (short) 3,
            new EndTransactionMarker(ControlRecordType.COMMIT, 12)));
        write(dir, "v2-abort-marker", MemoryRecords.withEndTransactionMarker(70, BASE_TIME, 9, 4711, (short) 3,
            new EndTransactionMarker(ControlRecordType.ABORT, 12)));
        // What consumers of old versions get of the fixtures of magic 2, from offset 73 on.
        for (CompressionType codec : CompressionType.values()) {
            if (codec == CompressionType.ZSTD) continue;
            MemoryRecords source = MemoryRecords.readableRecords(ByteBuffer.wrap(Files.readAllBytes(dir.resolve("v2-" + codec.name + ".bin"))));
            for (byte magic = 0; magic <= 1; magic++) {
                ConvertedRecords<MemoryRecords> converted =
                    source.downConvert(magic, 73, org.apache.kafka.common.utils.Time.SYSTEM);
                write(dir, "v2-" + codec.name + "-to-v" + magic, converted.records());
            }
        }
    }
}
