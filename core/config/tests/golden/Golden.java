// Makes the golden files of this folder from the originals (Kafka 2.7.1, ZooKeeper 3.6.3):
//   javac -cp 'libs/*' Golden.java && java -cp 'libs/*:.' Golden definitions > definitions.tsv
//   cut -f1,2 answers.tsv > cases && java -cp 'libs/*:.' Golden answers < cases > answers.tsv
// definitions.tsv: table, name, type, default, validator, importance, update mode or broker synonym.
// answers.tsv: what is asked, the text of a file (\n, \t, \r, \f, \\ escaped), and the answer. JDK 17.
import java.io.*;
import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import java.util.*;
import kafka.log.LogConfig$;
import kafka.server.DynamicBrokerConfig$;
import kafka.server.KafkaConfig;
import kafka.server.KafkaConfig$;
import org.apache.kafka.clients.admin.AdminClientConfig;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.zookeeper.server.quorum.QuorumPeerConfig;

public class Golden {
    public static void main(String[] args) throws Exception {
        if (args[0].equals("definitions")) {
            definitions();
        } else {
            for (String line : new String(System.in.readAllBytes(), StandardCharsets.UTF_8).split("\n")) {
                String[] parts = line.split("\t", -1);
                System.out.println(line + "\t" + escape(answer(parts[0], unescape(parts[1]))));
            }
        }
        System.out.flush();
        Runtime.getRuntime().halt(0);
    }

    static void definitions() throws Exception {
        dump("broker", of(KafkaConfig$.MODULE$), DynamicBrokerConfig$.MODULE$.dynamicConfigUpdateModes());
        Map<String, String> synonyms = new HashMap<>();
        var all = kafka.log.LogConfig.TopicConfigSynonyms().iterator();
        while (all.hasNext()) {
            var pair = all.next();
            synonyms.put(pair._1(), pair._2());
        }
        dump("topic", of(LogConfig$.MODULE$), synonyms);
        dump("producer", ProducerConfig.configDef(), Map.of());
        dump("consumer", ConsumerConfig.configDef(), Map.of());
        dump("admin", AdminClientConfig.configDef(), Map.of());
    }

    static ConfigDef of(Object module) throws Exception {
        for (Class<?> place : List.of(module.getClass(), Class.forName(module.getClass().getName().replace("$", "")))) {
            for (var field : place.getDeclaredFields()) {
                if (ConfigDef.class.isAssignableFrom(field.getType())) {
                    field.setAccessible(true);
                    return (ConfigDef) field.get(module);
                }
            }
        }
        throw new IllegalStateException(module.toString());
    }

    static void dump(String table, ConfigDef definitions, Map<String, String> more) {
        for (var key : new TreeMap<>(definitions.configKeys()).values()) {
            String value = !key.hasDefault() ? "<required>"
                : key.defaultValue == null ? "<null>" : ConfigDef.convertToString(key.defaultValue, key.type);
            String rule = key.validator == null ? "" : key.validator.toString();
            System.out.println(String.join("\t", table, key.name, key.type.toString(), value, rule,
                key.importance.toString(), more.getOrDefault(key.name, "")));
        }
    }

    static String answer(String question, String text) throws Exception {
        try {
            Properties file = new Properties();
            if (!question.equals("zoo.cfg")) file.load(new ByteArrayInputStream(text.getBytes(StandardCharsets.ISO_8859_1)));
            switch (question) {
                case "properties":
                    StringBuilder pairs = new StringBuilder();
                    new TreeMap<Object, Object>(file).forEach((key, value) -> pairs.append(key).append('\u0001').append(value).append('\u0002'));
                    return pairs.toString();
                case "broker":
                    new KafkaConfig(file, false);
                    return "ok";
                case "topic":
                    LogConfig$.MODULE$.validate(file);
                    return "ok";
                case "broker update":
                case "default update":
                    Properties base = new Properties();
                    base.put("zookeeper.connect", "z");
                    new KafkaConfig(base, false).dynamicConfig().validate(file, question.equals("broker update"));
                    return "ok";
                case "zoo.cfg":
                    return zooCfg(text);
                default:
                    throw new IllegalStateException(question);
            }
        } catch (Throwable error) {
            String cause = error.getCause() == null ? "" : " / " + error.getCause();
            return (error + cause).replaceAll("/[^ ]*/golden-zoo.cfg", "ZOO.CFG");
        }
    }

    static String zooCfg(String text) throws Exception {
        QuorumPeerConfig.setStandaloneEnabled(true);
        QuorumPeerConfig.setReconfigEnabled(false);
        Path file = Paths.get(System.getProperty("java.io.tmpdir"), "golden-zoo.cfg");
        Files.write(file, text.getBytes(StandardCharsets.ISO_8859_1));
        QuorumPeerConfig config = new QuorumPeerConfig();
        config.parse(file.toString());
        return String.join(" ", "ok", "" + config.getDataDir(), "" + config.getDataLogDir(), "" + config.getTickTime(),
            "" + config.getMinSessionTimeout(), "" + config.getMaxSessionTimeout(), "" + config.getMaxClientCnxns(),
            "" + config.getSnapRetainCount(), "" + config.getPurgeInterval(),
            config.getClientPortAddress() == null ? "none" : "" + config.getClientPortAddress().getPort());
    }

    static String escape(String text) {
        StringBuilder out = new StringBuilder();
        for (char c : text.toCharArray()) {
            int place = "\\\n\t\r\f".indexOf(c);
            if (place >= 0) out.append('\\').append("\\ntrf".charAt(place));
            else if (c < ' ' || c > '~') out.append(String.format("\\u%04x", (int) c));
            else out.append(c);
        }
        return out.toString();
    }

    static String unescape(String text) {
        StringBuilder out = new StringBuilder();
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            out.append(c != '\\' ? c : "\\\n\t\r\f".charAt("\\ntrf".indexOf(text.charAt(++i))));
        }
        return out.toString();
    }
}
