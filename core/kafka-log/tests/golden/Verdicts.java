import java.io.*;
import java.nio.ByteBuffer;
import java.nio.file.*;
import java.util.*;
import java.util.concurrent.TimeUnit;
import java.util.function.*;
import java.util.zip.CRC32;
import kafka.api.ApiVersion;
import kafka.api.ApiVersion$;
import kafka.common.RecordValidationException;
import kafka.log.*;
import kafka.server.*;
import kafka.utils.KafkaScheduler;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.record.*;
import org.apache.kafka.common.requests.ProduceRequest;
import org.apache.kafka.common.requests.ProduceResponse;
import org.apache.kafka.common.utils.*;

/**
 * Appends a table of good and bad records to logs of Kafka 2.7.1 and prints what becomes of them, one case a line:
 * name, settings, records (hex), then either "ok", the log's bytes (hex), largest timestamp and its offset, or
 * "error", the code, and the record errors ("index:message", joined by "|").
 */
public class Verdicts {
    static final long NOW = 1_600_000_000_000L;
    static final long FIRST = 1000;
    static PrintStream out;
    static int logs = 0;
    static File root;
    static final KafkaScheduler scheduler = new KafkaScheduler(1, "s", true);
    static final BrokerTopicStats stats = new BrokerTopicStats();

    static final Time TIME = new Time() {
        public long milliseconds() { return NOW; }
        public long hiResClockMs() { return NOW; }
        public long nanoseconds() { return NOW * 1_000_000; }
        public void sleep(long ms) { }
        public void waitObject(Object obj, Supplier<Boolean> condition, long deadlineMs) { }
        public org.apache.kafka.common.utils.Timer timer(long timeoutMs) { return Time.SYSTEM.timer(timeoutMs); }
    };

    static String hex(byte[] bytes) {
        StringBuilder text = new StringBuilder();
        for (byte b : bytes) text.append(String.format("%02x", b));
        return text.toString();
    }

    /** settings: "key=value,key=value"; version (Produce), origin, and topic configs. */
    static void run(String name, String settings, byte[] records) throws Exception {
        Map<String, String> topic = new HashMap<>();
        short version = 8;
        AppendOrigin origin = AppendOrigin.Client$.MODULE$;
        for (String setting : settings.split(",")) {
            if (setting.isEmpty()) continue;
            String[] pair = setting.split("=");
            if (pair[0].equals("version")) version = Short.parseShort(pair[1]);
            else if (pair[0].equals("origin")) origin = AppendOrigin.Coordinator$.MODULE$;
            else topic.put(pair[0], pair[1]);
        }
        File dir = new File(root, "t-" + logs++);
        dir.mkdirs();
        LogConfig config = new LogConfig(topic, (scala.collection.immutable.Set<String>) (Object) scala.collection.immutable.Set$.MODULE$.empty());
        Log log = Log$.MODULE$.apply(dir, config, FIRST, FIRST, scheduler, stats, TIME, 3600000, 600000, new LogDirFailureChannel(10));
        StringBuilder verdict = new StringBuilder();
        try {
            MemoryRecords memory = MemoryRecords.readableRecords(ByteBuffer.wrap(records.clone()));
            if (origin == AppendOrigin.Client$.MODULE$) ProduceRequest.validateRecords(version, memory);
            LogAppendInfo info = log.appendAsLeader(memory, 5, origin, ApiVersion$.MODULE$.latestVersion());
            File[] files = dir.listFiles((d, n) -> n.endsWith(".log"));
            byte[] stored = Files.readAllBytes(files[0].toPath());
            verdict.append("ok\t").append(hex(stored)).append("\t").append(info.maxTimestamp()).append("\t").append(info.offsetOfMaxTimestamp());
        } catch (RecordValidationException e) {
            verdict.append("error\t").append(Errors.forException(e.invalidException()).code()).append("\t");
            List<String> errors = new ArrayList<>();
            scala.collection.Iterator<ProduceResponse.RecordError> it = e.recordErrors().iterator();
            while (it.hasNext()) {
                ProduceResponse.RecordError error = it.next();
                errors.add(error.batchIndex + ":" + error.message.replace("t-" + (logs - 1), "t-0"));
            }
            verdict.append(String.join("|", errors));
        } catch (Throwable e) {
            verdict.append("error\t").append(Errors.forException(e).code()).append("\t");
            if (System.getenv("WHY") != null) System.err.println(name + ": " + e);
        }
        out.println(name + "\t" + settings + "\t" + hex(records) + "\t" + verdict);
        log.close();
    }

    static byte[] bytes(String text) { return text == null ? null : text.getBytes(); }

    static byte[] take(MemoryRecords records) {
        ByteBuffer buffer = records.buffer().duplicate();
        byte[] all = new byte[buffer.remaining()];
        buffer.get(all);
        return all;
    }

    interface Fill { void fill(MemoryRecordsBuilder builder) throws Exception; }

    static byte[] build(int magic, CompressionType codec, TimestampType type, long pid, int sequence, boolean transactional, Fill fill) throws Exception {
        MemoryRecordsBuilder builder = MemoryRecords.builder(ByteBuffer.allocate(8192), (byte) magic, codec, type, 0, NOW,
            pid, (short) (pid < 0 ? -1 : 0), sequence, transactional, -1);
        fill.fill(builder);
        return take(builder.build());
    }

    static void three(MemoryRecordsBuilder builder, int magic) {
        boolean v2 = magic == 2;
        Header[] headers = v2 ? new Header[] {new RecordHeader("h", bytes("1"))} : new Header[0];
        builder.append(magic == 0 ? -1 : NOW - 5, bytes("k0"), bytes("value zero"));
        builder.append(magic == 0 ? -1 : NOW + 7, bytes("k1"), bytes("value one"), headers);
        builder.append(magic == 0 ? -1 : NOW - 1, bytes("k2"), null);
    }

    static byte[] good(int magic, CompressionType codec) throws Exception {
        return build(magic, codec, TimestampType.CREATE_TIME, -1, -1, false, b -> three(b, magic));
    }

    static byte[] noKeys(int magic, CompressionType codec) throws Exception {
        return build(magic, codec, TimestampType.CREATE_TIME, -1, -1, false, b -> {
            b.append(NOW, bytes("k"), bytes("v"));
            b.append(NOW, (byte[]) null, bytes("v"));
            b.append(NOW, bytes("k"), bytes("v"));
            b.append(NOW, (byte[]) null, bytes("v"));
        });
    }

    static byte[] join(byte[]... parts) {
        ByteArrayOutputStream all = new ByteArrayOutputStream();
        for (byte[] part : parts) all.writeBytes(part);
        return all.toByteArray();
    }

    static byte[] cut(byte[] bytes, int length) { return Arrays.copyOf(bytes, length); }

    /** Makes length and checksum of a single batch right again. */
    static byte[] seal(byte[] bytes) {
        ByteBuffer buffer = ByteBuffer.wrap(bytes);
        buffer.putInt(8, bytes.length - 12);
        if (bytes[16] == 2) {
            buffer.putInt(17, (int) Crc32C.compute(buffer, 21, bytes.length - 21));
        } else {
            CRC32 crc = new CRC32();
            crc.update(bytes, 16, bytes.length - 16);
            buffer.putInt(12, (int) crc.getValue());
        }
        return bytes;
    }

    static byte[] patch(byte[] bytes, Consumer<ByteBuffer> change) {
        byte[] changed = bytes.clone();
        change.accept(ByteBuffer.wrap(changed));
        return seal(changed);
    }

    static byte[] body(byte[] bytes, int header, byte[] body) { return seal(join(cut(bytes, header), body)); }

    static byte[] at(byte[] bytes, int from) { return Arrays.copyOfRange(bytes, from, bytes.length); }

    /** A batch of magic 2 with these record bytes, compressed. */
    static byte[] raw(CompressionType codec, int count, byte[] records) throws Exception {
        ByteBufferOutputStream stream = new ByteBufferOutputStream(records.length + 4096);
        try (OutputStream compressed = codec.wrapForOutput(stream, (byte) 2)) { compressed.write(records); }
        ByteBuffer buffer = stream.buffer();
        buffer.flip();
        byte[] written = new byte[buffer.remaining()];
        buffer.get(written);
        byte[] template = cut(good(2, codec), 61);
        return patch(join(template, written), b -> { b.putInt(57, count); b.putInt(23, count - 1); });
    }

    /** A wrapper of magic 1 or 0 around these messages. */
    static byte[] wrapper(int magic, CompressionType codec, long offset, byte[] inner) throws Exception {
        ByteBufferOutputStream stream = new ByteBufferOutputStream(inner.length + 4096);
        try (OutputStream compressed = codec.wrapForOutput(stream, (byte) magic)) { compressed.write(inner); }
        ByteBuffer buffer = stream.buffer();
        buffer.flip();
        byte[] written = new byte[buffer.remaining()];
        buffer.get(written);
        ByteBuffer message = ByteBuffer.allocate((magic == 0 ? 26 : 34) + written.length);
        message.putLong(offset).putInt(0).putInt(0).put((byte) magic).put((byte) codec.id);
        if (magic == 1) message.putLong(NOW);
        message.putInt(-1).putInt(written.length).put(written);
        return seal(message.array());
    }

    static byte[] message(int magic, long offset, long timestamp, String key, String value) {
        LegacyRecord record = LegacyRecord.create((byte) magic, timestamp, bytes(key), bytes(value));
        ByteBuffer buffer = ByteBuffer.allocate(12 + record.sizeInBytes());
        buffer.putLong(offset).putInt(record.sizeInBytes()).put(record.buffer().duplicate());
        return buffer.array();
    }

    static byte[] record(int offsetDelta, int... tail) {
        byte[] bytes = new byte[tail.length + 4];
        bytes[0] = (byte) ((tail.length + 3) * 2);
        bytes[2] = 0;
        bytes[3] = (byte) (offsetDelta * 2);
        for (int i = 0; i < tail.length; i++) bytes[4 + i] = (byte) tail[i];
        return bytes;
    }

    public static void main(String[] args) throws Exception {
        out = new PrintStream(new FileOutputStream(args[0]));
        root = Files.createTempDirectory("verdicts").toFile();
        scheduler.startup();
        CompressionType[] codecs = CompressionType.values();
        String[] targets = {"producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"};
        String[] formats = {"0.9.0", "0.10.2", "2.7"};
        // Everything that is good, in all ways it may be stored.
        for (int magic = 0; magic <= 2; magic++)
            for (CompressionType codec : codecs) {
                if (magic < 2 && codec == CompressionType.ZSTD) continue;
                for (String target : targets)
                    for (String format : formats) {
                        String settings = (magic < 2 ? "version=2," : "") + "compression.type=" + target + ",message.format.version=" + format;
                        String name = "good v" + magic + " " + codec.name + " to " + target + " " + format;
                        byte[] records = magic == 2 && !format.equals("2.7")
                            ? build(2, codec, TimestampType.CREATE_TIME, -1, -1, false, b -> three(b, 1)) : good(magic, codec);
                        run(name, settings, records);
                        if (codec.id < 2 && (target.equals("producer") || target.equals("gzip")))
                            run(name + " stamped", settings + ",message.timestamp.type=LogAppendTime", records);
                    }
            }
        for (CompressionType codec : codecs) {
            String c = " " + codec.name;
            byte[] good = good(2, codec);
            run("version 3" + c, "version=3", good);
            run("version 6" + c, "version=6", good);
            run("version 7" + c, "version=7", good);
            run("compacted with keys" + c, "cleanup.policy=compact", good);
            run("compacted without keys" + c, "cleanup.policy=compact", noKeys(2, codec));
            run("timestamps in range" + c, "message.timestamp.difference.max.ms=7", good);
            run("timestamps out of range" + c, "message.timestamp.difference.max.ms=4", good);
            run("no key and late" + c, "message.timestamp.difference.max.ms=4,cleanup.policy=compact", join(
                build(2, codec, TimestampType.CREATE_TIME, -1, -1, false, b -> {
                    b.append(NOW - 9, (byte[]) null, bytes("v"));
                    b.append(NOW - 9, bytes("k"), bytes("v")); })));
            run("stamped by the producer" + c, "", build(2, codec, TimestampType.LOG_APPEND_TIME, -1, -1, false, b -> three(b, 2)));
            run("stamped twice" + c, "message.timestamp.type=LogAppendTime", build(2, codec, TimestampType.LOG_APPEND_TIME, -1, -1, false, b -> three(b, 2)));
            run("wrong max timestamp" + c, "", patch(good, b -> b.putLong(35, NOW + 12345)));
            run("wrong checksum" + c, "", ((Supplier<byte[]>) () -> { byte[] bad = good.clone(); bad[bad.length - 1] ^= 1; return bad; }).get());
            run("base offset 1" + c, "", patch(good, b -> b.putLong(0, 1)));
            run("count too high" + c, "", patch(good, b -> b.putInt(57, 4)));
            run("count and delta too high" + c, "", patch(good, b -> { b.putInt(57, 4); b.putInt(23, 3); }));
            run("count and delta too low" + c, "", patch(good, b -> { b.putInt(57, 2); b.putInt(23, 1); }));
            run("count 0" + c, "", patch(good, b -> b.putInt(57, 0)));
            run("count negative" + c, "", patch(good, b -> b.putInt(57, -1)));
            run("delta negative" + c, "", patch(good, b -> b.putInt(23, -1)));
            run("control from a client" + c, "", patch(good, b -> b.putShort(21, (short) (b.getShort(21) | 32))));
            run("two batches" + c, "", join(good, good));
            run("two batches, cut" + c, "", join(good, cut(good, good.length - 1)));
            run("followed by three bytes" + c, "", join(good, new byte[3]));
            run("idempotent" + c, "", build(2, codec, TimestampType.CREATE_TIME, 42, 0, false, b -> three(b, 2)));
            run("transactional" + c, "", build(2, codec, TimestampType.CREATE_TIME, 42, 7, true, b -> three(b, 2)));
            run("idempotent recompressed" + c, "compression.type=lz4", build(2, codec, TimestampType.CREATE_TIME, 42, 3, true, b -> three(b, 2)));
            run("sequence negative" + c, "", patch(build(2, codec, TimestampType.CREATE_TIME, 42, 0, false, b -> three(b, 2)), b -> b.putInt(53, -1)));
            run("idempotent on old format" + c, "message.format.version=0.10.2", build(2, codec, TimestampType.CREATE_TIME, 42, 0, false, b -> three(b, 1)));
            run("headers on old format" + c, "message.format.version=0.10.2", good);
            run("too large" + c, "max.message.bytes=" + (good.length - 1), good);
            run("just large enough" + c, "max.message.bytes=" + good.length, good);
            run("attributes of the future" + c, "", patch(good, b -> b.putShort(21, (short) (b.getShort(21) | 0x4000))));
            run("body cut" + c, "", seal(cut(good, good.length - 3)));
            run("body cut at its start" + c, "", seal(cut(good, 62)));
            run("no body" + c, "", seal(cut(good, 61)));
            run("bytes behind the body" + c, "", seal(join(good, new byte[4])));
            run("garbage" + c, "", body(good, 61, bytes("this is no compressed data at all, whatever the codec")));
            run("gap in offsets" + c, "", raw(codec, 2, join(record(0, 1, 1, 0), record(2, 1, 1, 0))));
            run("offsets backwards" + c, "", raw(codec, 2, join(record(1, 1, 1, 0), record(0, 1, 1, 0))));
            run("consecutive" + c, "", raw(codec, 2, join(record(0, 1, 1, 0), record(1, 1, 1, 0))));
            run("key beyond the record" + c, "", raw(codec, 1, record(0, 40, 1, 0)));
            run("value beyond the record" + c, "", raw(codec, 1, record(0, 1, 40, 0)));
            run("length -1" + c, "", raw(codec, 1, new byte[] {1, 0, 0, 0, 1, 1, 0}));
            run("length beyond the batch" + c, "", raw(codec, 1, new byte[] {60, 0, 0, 0, 1, 1, 0}));
            run("length too short" + c, "", raw(codec, 1, new byte[] {10, 0, 0, 0, 1, 1, 0}));
            run("length with a spare byte" + c, "", raw(codec, 1, record(0, 1, 1, 0, 0)));
            run("length varint too long" + c, "", raw(codec, 1, new byte[] {-1, -1, -1, -1, -1, -1, 0}));
            run("timestamp varint too long" + c, "", raw(codec, 1, new byte[] {40, 0, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 1, 1, 0, 0, 0, 0}));
            run("header count negative" + c, "", raw(codec, 1, record(0, 1, 1, 1)));
            run("header count too high" + c, "", raw(codec, 1, record(0, 1, 1, 4)));
            run("header key null" + c, "", raw(codec, 1, record(0, 1, 1, 2, 1, 1)));
            run("null lengths of -2" + c, "", raw(codec, 1, record(0, 3, 3, 0)));
            run("record attributes" + c, "", raw(codec, 1, new byte[] {14, 7, 0, 0, 1, 1, 0, 0}));
            if (codec.id < 4) {
                byte[] v1 = good(1, codec), v0 = good(0, codec);
                run("v1 in version 3" + c, "version=3", v1);
                run("v1 in version 2" + c, "version=2", v1);
                run("v2 in version 2" + c, "version=2", good);
                run("v1 compacted without keys" + c, "version=2,cleanup.policy=compact,message.format.version=0.10.2", noKeys(1, codec));
                run("v1 out of range" + c, "version=2,message.timestamp.difference.max.ms=4,message.format.version=0.10.2", v1);
                run("v1 stamped by the producer" + c, "version=2,message.format.version=0.10.2", build(1, codec, TimestampType.LOG_APPEND_TIME, -1, -1, false, b -> three(b, 1)));
                run("v1 wrong checksum" + c, "version=2", ((Supplier<byte[]>) () -> { byte[] bad = v1.clone(); bad[bad.length - 1] ^= 1; return bad; }).get());
                run("v1 too large" + c, "version=2,max.message.bytes=40", v1);
                run("v0 and v1" + c, "version=2", join(v0, v1));
                run("v1 and v2" + c, "version=2", join(v1, good));
                run("v1 then cut" + c, "version=2", join(v1, cut(v1, 20)));
            }
        }
        // Wrappers, well and badly made.
        byte[] inner1 = join(message(1, 0, NOW, "a", "1"), message(1, 1, NOW + 1, "b", "2"));
        byte[] inner0 = join(message(0, 0, -1, "a", "1"), message(0, 1, -1, "b", "2"));
        for (CompressionType codec : codecs) {
            if (codec.id == 0 || codec.id == 4) continue;
            String c = " " + codec.name, old = "version=2,message.format.version=0.10.2", older = "version=2,message.format.version=0.9.0";
            for (String format : new String[] {old, older, "version=2"}) {
                String f = c + " " + format.substring(format.length() - 3);
                run("wrapper" + f, format, wrapper(1, codec, 1, inner1));
                run("wrapper offset 0" + f, format, wrapper(1, codec, 0, inner1));
                run("wrapper offset 9" + f, format, wrapper(1, codec, 9, inner1));
                run("wrapper offset too low" + f, format, wrapper(1, codec, 1, join(message(1, 0, NOW, "a", "1"), message(1, 2, NOW, "b", "2"))));
                run("wrapper inner gap" + f, format, wrapper(1, codec, 2, join(message(1, 0, NOW, "a", "1"), message(1, 2, NOW, "b", "2"))));
                run("wrapper inner all 0" + f, format, wrapper(1, codec, 0, join(message(1, 0, NOW, "a", "1"), message(1, 0, NOW, "b", "2"))));
                run("wrapper of v0" + f, format, wrapper(0, codec, 1, inner0));
                run("wrapper v1 of v0" + f, format, wrapper(1, codec, 1, inner0));
                run("wrapper v0 of v1" + f, format, wrapper(0, codec, 1, inner1));
                run("wrapper mixed" + f, format, wrapper(1, codec, 1, join(message(1, 0, NOW, "a", "1"), message(0, 1, NOW, "b", "2"))));
                byte[] broken = inner1.clone();
                broken[broken.length - 1] ^= 1;
                run("wrapper inner checksum" + f, format, wrapper(1, codec, 1, broken));
                run("wrapper inner cut" + f, format, wrapper(1, codec, 1, cut(inner1, inner1.length - 1)));
                run("wrapper inner cut early" + f, format, wrapper(1, codec, 0, cut(inner1, 8)));
                run("wrapper empty" + f, format, wrapper(1, codec, 0, new byte[0]));
                run("wrapper nested" + f, format, wrapper(1, codec, 0, wrapper(1, codec, 0, inner1)));
                run("wrapper inner size 5" + f, format, wrapper(1, codec, 1, ByteBuffer.allocate(40).putLong(0).putInt(5).array()));
                run("wrapper null value" + f, format, patch(cut(wrapper(1, codec, 1, inner1), 34), b -> b.putInt(30, -1)));
                run("two wrappers" + f, format, join(wrapper(1, codec, 1, inner1), wrapper(1, codec, 1, inner1)));
                run("wrapper and message" + f, format, join(wrapper(1, codec, 1, inner1), message(1, 2, NOW, "a", "1")));
                run("wrapper garbage" + f, format, patch(wrapper(1, codec, 1, inner1), b -> b.putLong(36, 0x0102030405060708L)));
            }
        }
        byte[] big = build(2, CompressionType.GZIP, TimestampType.CREATE_TIME, -1, -1, false, b -> {
            for (int i = 0; i < 20; i++) b.append(NOW, bytes("k"), new byte[500]); });
        run("recompressed too large", "compression.type=uncompressed,max.message.bytes=5000", big);
        run("wrapper of zstd", "version=2", patch(wrapper(1, CompressionType.GZIP, 1, inner1), b -> b.put(17, (byte) 4)));
        run("codec 5", "", patch(good(2, CompressionType.NONE), b -> b.putShort(21, (short) 5)));
        run("codec 5 version 3", "version=3", patch(good(2, CompressionType.NONE), b -> b.putShort(21, (short) 5)));
        run("v1 codec 7", "version=2", patch(good(1, CompressionType.GZIP), b -> b.put(17, (byte) 7)));
        run("zstd to old format", "compression.type=zstd,message.format.version=0.10.2", build(2, CompressionType.NONE, TimestampType.CREATE_TIME, -1, -1, false, b -> three(b, 1)));
        run("empty version 3", "version=3", new byte[0]);
        run("eleven bytes version 3", "version=3", new byte[11]);
        run("zeros version 3", "version=3", new byte[80]);
        run("size negative", "", ByteBuffer.allocate(80).putLong(0).putInt(-1).array());
        run("size huge", "", ByteBuffer.allocate(80).putLong(0).putInt(Integer.MAX_VALUE).array());
        run("size 14 magic 2", "", ByteBuffer.allocate(26).putLong(0).putInt(14).putInt(0).put((byte) 2).array());
        run("magic 3", "", ((Supplier<byte[]>) () -> { try { byte[] b = good(2, CompressionType.NONE); b[16] = 3; return b; } catch (Exception e) { throw new RuntimeException(e); } }).get());
        run("magic -1", "", ((Supplier<byte[]>) () -> { try { byte[] b = good(2, CompressionType.NONE); b[16] = -1; return b; } catch (Exception e) { throw new RuntimeException(e); } }).get());
        run("commit marker", "origin=coordinator", take(MemoryRecords.withEndTransactionMarker(0, NOW, 0, 42, (short) 0, new EndTransactionMarker(ControlRecordType.COMMIT, 1))));
        run("commit marker, compressed topic", "origin=coordinator,compression.type=gzip", take(MemoryRecords.withEndTransactionMarker(0, NOW, 0, 42, (short) 0, new EndTransactionMarker(ControlRecordType.COMMIT, 1))));
        run("commit marker from a client", "", take(MemoryRecords.withEndTransactionMarker(0, NOW, 0, 42, (short) 0, new EndTransactionMarker(ControlRecordType.COMMIT, 1))));
        run("coordinator at another offset", "origin=coordinator", patch(good(2, CompressionType.NONE), b -> b.putLong(0, 77)));
        run("coordinator at another offset gzip", "origin=coordinator", patch(good(2, CompressionType.GZIP), b -> b.putLong(0, 77)));
        // Bytes changed by chance under a right checksum.
        Random random = new Random(7);
        for (int i = 0; i < 260; i++) {
            CompressionType codec = codecs[i % 5];
            int magic = i % 4 == 3 && codec.id < 4 && codec.id > 0 ? 1 : 2;
            byte[] base = good(magic, codec);
            int changes = 1 + random.nextInt(2);
            for (int change = 0; change < changes; change++) {
                int from = magic == 2 ? 21 : 17;
                base[from + random.nextInt(base.length - from)] = (byte) random.nextInt(256);
            }
            run("chance " + i + " v" + magic + " " + codec.name, magic == 1 ? "version=2" : "message.timestamp.difference.max.ms=100000", seal(base));
        }
        out.close();
        scheduler.shutdown();
        System.exit(0);
    }
}
