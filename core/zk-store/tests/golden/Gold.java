import java.util.*;
import org.apache.zookeeper.*;
import org.apache.zookeeper.data.*;
public class Gold {
  public static void main(String[] a) throws Exception {
    ZooKeeper zk = new ZooKeeper(a[0], 10000, e -> {});
    while (!zk.getState().isConnected()) Thread.sleep(10);
    List<ACL> open = ZooDefs.Ids.OPEN_ACL_UNSAFE;
    zk.addAuthInfo("digest", "jack:daw".getBytes());
    zk.create("/persistent", "data".getBytes(), open, CreateMode.PERSISTENT);
    zk.create("/nulldata", null, open, CreateMode.PERSISTENT);
    zk.create("/empty", new byte[0], open, CreateMode.PERSISTENT);
    zk.create("/vše", "unicode".getBytes(), open, CreateMode.PERSISTENT, new Stat());
    zk.create("/persistent/seq-", "s".getBytes(), open, CreateMode.PERSISTENT_SEQUENTIAL);
    zk.create("/persistent/seq-", "s".getBytes(), open, CreateMode.PERSISTENT_SEQUENTIAL);
    zk.create("/container", "c".getBytes(), open, CreateMode.CONTAINER);
    zk.create("/ttl", "t".getBytes(), open, CreateMode.PERSISTENT_WITH_TTL, new Stat(), 3600000);
    zk.create("/ephemeral", "e".getBytes(), open, CreateMode.EPHEMERAL);
    zk.create("/private", "p".getBytes(), ZooDefs.Ids.CREATOR_ALL_ACL, CreateMode.PERSISTENT);
    zk.create("/readonly", "r".getBytes(), ZooDefs.Ids.READ_ACL_UNSAFE, CreateMode.PERSISTENT);
    byte[] big = new byte[9000]; for (int i = 0; i < big.length; i++) big[i] = (byte)(i * 7);
    zk.setData("/persistent", big, -1);
    zk.setData("/empty", "x".getBytes(), 0);
    try { zk.setData("/empty", "y".getBytes(), 7); } catch (KeeperException e) { }
    zk.setACL("/nulldata", Arrays.asList(new ACL(31, ZooDefs.Ids.ANYONE_ID_UNSAFE), new ACL(1, new Id("ip", "10.0.0.0/8"))), -1);
    zk.multi(Arrays.asList(Op.check("/empty", 1), Op.create("/multi", "m".getBytes(), open, CreateMode.PERSISTENT), Op.setData("/multi", "n".getBytes(), 0), Op.create("/gone", null, open, CreateMode.PERSISTENT), Op.delete("/gone", -1)));
    try { zk.multi(Arrays.asList(Op.create("/never", null, open, CreateMode.PERSISTENT), Op.delete("/missing", -1))); } catch (KeeperException e) { }
    zk.delete("/persistent/seq-0000000000", -1);
    ZooKeeper other = new ZooKeeper(a[0], 20000, e -> {});
    while (!other.getState().isConnected()) Thread.sleep(10);
    other.create("/brief", null, open, CreateMode.EPHEMERAL);
    other.create("/brief-", null, open, CreateMode.EPHEMERAL_SEQUENTIAL);
    other.close();
    System.out.println("session 0x" + Long.toHexString(zk.getSessionId()));
    System.out.flush();
    Runtime.getRuntime().halt(0);
  }
}
