// Made clean.tar.gz and unclean.tar.gz with a JVM Kafka 2.7.1 (one partition, one replica each; transaction log with one partition):
// unclean is a copy of the log directory with the broker running, clean the same after SIGTERM.
import java.util.*;
import java.util.concurrent.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.serialization.*;

public class Gen {
  static Properties props(String bs) {
    Properties p = new Properties();
    p.put("bootstrap.servers", bs);
    p.put("key.serializer", ByteArraySerializer.class.getName());
    p.put("value.serializer", ByteArraySerializer.class.getName());
    p.put("linger.ms", "60000"); p.put("batch.size", "100000");
    return p;
  }
  static byte[] value(int i, int len) { byte[] b = new byte[len]; for (int k = 0; k < len; k++) b[k] = (byte) (i * 31 + k * 7); return b; }
  static long T = 1600000000000L;
  static int n = 0;
  static void batch(Producer<byte[], byte[]> p, String topic, int count, int len) throws Exception {
    for (int i = 0; i < count; i++) {
      byte[] key = n % 3 == 0 ? null : ("k" + n).getBytes();
      // timestamps that jump back now and then
      long ts = T + n * 10L - (n % 7 == 3 ? 500 : 0);
      p.send(new ProducerRecord<>(topic, 0, ts, key, value(n, len)));
      n++;
    }
    p.flush();
  }
  static NewTopic topic(String name, String... kv) {
    Map<String, String> c = new HashMap<>();
    c.put("segment.bytes", "2000"); c.put("index.interval.bytes", "150"); c.put("segment.index.bytes", "2400"); c.put("retention.ms", "-1");
    for (int i = 0; i < kv.length; i += 2) c.put(kv[i], kv[i + 1]);
    return new NewTopic(name, 1, (short) 1).configs(c);
  }
  public static void main(String[] a) throws Exception {
    String bs = a[0];
    Properties ap = new Properties(); ap.put("bootstrap.servers", bs);
    List<NewTopic> ts = new ArrayList<>();
    ts.add(topic("plain")); ts.add(topic("idem")); ts.add(topic("txn"));
    for (String c : new String[] {"gzip", "snappy", "lz4", "zstd"}) ts.add(topic("comp-" + c));
    ts.add(topic("v0", "message.format.version", "0.9.0")); ts.add(topic("v1", "message.format.version", "0.10.0"));
    ts.add(topic("v1-gzip", "message.format.version", "0.10.0"));
    try (Admin admin = Admin.create(ap)) { admin.createTopics(ts).all().get(); }
    try (Producer<byte[], byte[]> p = new KafkaProducer<>(props(bs))) {
      for (int i = 0; i < 40; i++) batch(p, "plain", 1 + i % 5, 20 + (i * 13) % 60);
      for (int i = 0; i < 25; i++) { batch(p, "v0", 1, 60); batch(p, "v1", 1, 60); }
    }
    Properties ip = props(bs); ip.put("enable.idempotence", "true");
    try (Producer<byte[], byte[]> p = new KafkaProducer<>(ip)) {
      for (int i = 0; i < 30; i++) batch(p, "idem", 1 + i % 4, 30);
    }
    for (String c : new String[] {"gzip", "snappy", "lz4", "zstd"}) {
      Properties cp = props(bs); cp.put("compression.type", c);
      try (Producer<byte[], byte[]> p = new KafkaProducer<>(cp)) { for (int i = 0; i < 8; i++) batch(p, "comp-" + c, 20, 50); }
    }
    Properties gp = props(bs); gp.put("compression.type", "gzip");
    try (Producer<byte[], byte[]> p = new KafkaProducer<>(gp)) { for (int i = 0; i < 6; i++) batch(p, "v1-gzip", 10, 50); }
    Properties tp = props(bs); tp.put("transactional.id", "tx-a");
    Properties tq = props(bs); tq.put("transactional.id", "tx-b");
    try (KafkaProducer<byte[], byte[]> p = new KafkaProducer<>(tp); KafkaProducer<byte[], byte[]> q = new KafkaProducer<>(tq); Producer<byte[], byte[]> r = new KafkaProducer<>(props(bs))) {
      p.initTransactions(); q.initTransactions();
      for (int i = 0; i < 12; i++) {
        p.beginTransaction(); batch(p, "txn", 2, 40);
        if (i % 3 == 0) { q.beginTransaction(); batch(q, "txn", 1, 40); }
        batch(r, "txn", 1, 30);
        if (i % 2 == 0) p.abortTransaction(); else p.commitTransaction();
        batch(p == null ? r : r, "txn", 1, 10);
        if (i % 3 == 0) { if (i % 2 == 0) q.commitTransaction(); else q.abortTransaction(); }
      }
    }
    System.out.println("done " + n);
  }
}
