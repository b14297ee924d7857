import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;

import org.apache.kafka.common.utils.Exit;
import org.apache.zookeeper.util.ServiceUtils;

/**
 * Runs the originals' tools one after the other in one JVM, as each would run in its own: a JVM's start costs seconds, a tool's
 * work little. What a tool writes, reads and exits with is its own; a tool that exits is left behind, asleep.
 *
 * A question on standard input: the number of words, the words (class first), the input's length, the input. The answer
 * on standard output: exit code, length and bytes of standard output, then of standard error. Numbers have four bytes.
 */
public class Originals {
    /** What the present tool writes to. The originals keep the first stream they see, so it stays and its target moves. */
    static final class Switch extends OutputStream {
        volatile ByteArrayOutputStream to = new ByteArrayOutputStream();

        @Override
        public void write(int one) {
            to.write(one);
        }

        @Override
        public void write(byte[] bytes, int from, int length) {
            to.write(bytes, from, length);
        }
    }

    static final Switch OUT = new Switch();
    static final Switch ERR = new Switch();
    static volatile CompletableFuture<Integer> exit;
    static final List<Runnable> HOOKS = new ArrayList<>();

    public static void main(String[] arguments) throws Exception {
        DataInputStream questions = new DataInputStream(System.in);
        DataOutputStream answers = new DataOutputStream(System.out);
        System.setOut(new PrintStream(OUT, true));
        System.setErr(new PrintStream(ERR, true));
        Exit.setExitProcedure((code, message) -> end(code));
        Exit.setHaltProcedure((code, message) -> end(code));
        Exit.setShutdownHookAdder((name, hook) -> HOOKS.add(hook));
        ServiceUtils.setSystemExitProcedure(Originals::end);
        while (true) {
            String[] words;
            try {
                words = new String[questions.readInt()];
            } catch (EOFException end) {
                Runtime.getRuntime().halt(0);
                return;
            }
            for (int word = 0; word < words.length; word++) {
                words[word] = new String(bytes(questions), "UTF-8");
            }
            int code = run(words, new ByteArrayInputStream(bytes(questions)));
            answers.writeInt(code);
            for (Switch stream : new Switch[] {OUT, ERR}) {
                byte[] written = stream.to.toByteArray();
                answers.writeInt(written.length);
                answers.write(written);
            }
            answers.flush();
        }
    }

    static byte[] bytes(DataInputStream from) throws Exception {
        byte[] bytes = new byte[from.readInt()];
        from.readFully(bytes);
        return bytes;
    }

    static int run(String[] words, InputStream input) throws Exception {
        OUT.to = new ByteArrayOutputStream();
        ERR.to = new ByteArrayOutputStream();
        HOOKS.clear();
        exit = new CompletableFuture<>();
        System.setIn(input);
        CompletableFuture<Integer> ending = exit;
        Thread thread = new Thread(() -> {
            try {
                String[] rest = java.util.Arrays.copyOfRange(words, 1, words.length);
                forget(Class.forName(words[0]));
                Class.forName(words[0]).getMethod("main", String[].class).invoke(null, (Object) rest);
                ending.complete(0);
            } catch (InvocationTargetException wrapped) {
                System.err.print("Exception in thread \"main\" ");
                wrapped.getCause().printStackTrace();
                ending.complete(1);
            } catch (Exception none) {
                none.printStackTrace();
                ending.complete(1);
            }
        }, "main");
        thread.setDaemon(true);
        thread.start();
        int code = ending.get();
        List<Thread> hooks = new ArrayList<>();
        for (Runnable hook : new ArrayList<>(HOOKS)) {
            Thread hooked = new Thread(hook);
            hooked.setDaemon(true);
            hooked.start();
            hooks.add(hooked);
        }
        for (Thread hooked : hooks) {
            hooked.join();
        }
        return code;
    }

    /** The console consumer counts in a static field. */
    static void forget(Class<?> tool) throws ReflectiveOperationException {
        if (tool.getName().equals("kafka.tools.ConsoleConsumer")) {
            tool.getMethod("messageCount_$eq", int.class).invoke(null, 0);
        }
    }

    /** The tool asks for its end: its thread goes no further. */
    static void end(int code) {
        exit.complete(code);
        while (true) {
            try {
                Thread.sleep(Long.MAX_VALUE);
            } catch (InterruptedException again) {
                // It has ended.
            }
        }
    }
}
