// SPDX-License-Identifier: MIT
// The independent witness: Kafka's own Java client, driven line by line, so that a spec pays the JVM's start once.
//
//   Witness BOOTSTRAP      a JSON object a line on stdin, a JSON object a line on stdout: {"cmd": NAME, ...} -> {...} or {"error": TEXT}
//
// Commands and their fields: README.md. Keys, values and header values are base64 both ways ("key", "value"; null or absent: null).
// Ends at the end of stdin. Shares no code with librdkafka or onced; Oracle.java judges, Generator.java writes, Follower.java watches.
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.BitSet;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.GroupIdNotFoundException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.quota.ClientQuotaAlteration;
import org.apache.kafka.common.quota.ClientQuotaEntity;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

public final class Witness {
    static final ObjectMapper json = new ObjectMapper();
    static final String OFFSETS = "__consumer_offsets";
    private static final long READ_DEADLINE_MS = 120_000;

    private final String bootstrap;
    private final Admin admin;
    private final Map<Integer, Thread> jobs = new HashMap<>();
    private final Map<String, KafkaProducer<byte[], byte[]>> open = new HashMap<>(); // transactions that `send` left open, by id
    private KafkaProducer<byte[], byte[]> plain;
    private int lastJob;

    private Witness(String bootstrap) {
        this.bootstrap = bootstrap;
        Properties p = client();
        p.put("default.api.timeout.ms", "60000");
        p.put("request.timeout.ms", "10000");
        admin = Admin.create(p);
    }

    public static void main(String[] args) throws Exception {
        if (args.length != 1) {
            System.err.println("usage: Witness BOOTSTRAP");
            System.exit(64);
        }
        Witness witness = new Witness(args[0]);
        PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line; (line = in.readLine()) != null; ) {
            JsonNode answer;
            try {
                answer = witness.answer(json.readTree(line));
            } catch (Throwable e) {
                Throwable cause = e instanceof ExecutionException && e.getCause() != null ? e.getCause() : e;
                if (!(cause instanceof org.apache.kafka.common.errors.ApiException)) cause.printStackTrace();
                answer = json.createObjectNode().put("error", cause.getClass().getSimpleName() + ": " + cause.getMessage());
            }
            out.println(json.writeValueAsString(answer));
            out.flush();
        }
        System.exit(0);
    }

    private JsonNode answer(JsonNode c) throws Exception {
        String topic = c.path("topic").asText(null), group = c.path("group").asText(null);
        switch (c.path("cmd").asText()) {
        case "ping": return ok();
        case "create": return create(c, topic);
        case "add_partitions": return done(admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(c.get("partitions").asInt()))).all());
        case "delete_topic": return done(admin.deleteTopics(List.of(topic)).all());
        case "delete_records": return deleteRecords(c, topic);
        case "configure": return configure(c, topic);
        case "topic": return describe(topic);
        case "produce": return produce(c, topic);
        case "job": return job(c);
        case "send": return send(c, topic);
        case "end_transaction": return endTransaction(c);
        case "read": return dump(c, topic);
        case "ends": return showEnds(topic);
        case "follow": return follow(c, topic);
        case "aborted": return aborted(c, topic);
        case "watch_offsets": return start(new Follower.Offsets(this, group, c.path("every_ms").asLong(200)));
        case "committed": return showCommitted(group);
        case "commit_offset": return commitOffset(c, group, topic);
        case "pending": return pending(c, group);
        case "delete_offsets": return deleteOffsets(c, group, topic);
        case "delete_group": return done(admin.deleteConsumerGroups(List.of(group)).all());
        case "group": return showGroup(group);
        case "transactions": return showTransactions(c.path("prefix").asText(""));
        case "producers": return showProducers(topic);
        case "coordinator": return coordinator(c.get("id").asText());
        case "lead": return lead(c, topic);
        case "feature": return done(admin.updateFeatures(Map.of(c.get("name").asText(), feature(c)), new UpdateFeaturesOptions()).all());
        case "quota": return quota(c);
        case "fence": return done(admin.fenceProducers(List.of(c.get("id").asText())).all());
        case "verify": return new Oracle(this, c).verify();
        default: throw new IllegalArgumentException("unknown command " + c.path("cmd"));
        }
    }

    // --- clients -----------------------------------------------------------------------------------------------------------------
    private static ObjectNode ok() {
        return json.createObjectNode().put("ok", true);
    }

    private static <T> T get(Future<T> f) throws Exception {
        return f.get(90, TimeUnit.SECONDS);
    }

    private static JsonNode done(Future<?> f) throws Exception {
        get(f);
        return ok();
    }

    Properties client() {
        Properties p = new Properties();
        p.put("bootstrap.servers", bootstrap);
        p.put("key.serializer", ByteArraySerializer.class.getName());
        p.put("value.serializer", ByteArraySerializer.class.getName());
        p.put("key.deserializer", ByteArrayDeserializer.class.getName());
        p.put("value.deserializer", ByteArrayDeserializer.class.getName());
        p.put("reconnect.backoff.max.ms", "200");
        return p;
    }

    KafkaConsumer<byte[], byte[]> consumer(String level) {
        Properties p = client();
        p.put("isolation.level", level);
        p.put("enable.auto.commit", "false");
        p.put("auto.offset.reset", "none");
        p.put("fetch.max.wait.ms", "20"); // the measured latency must be the pipeline's
        p.put("max.poll.records", "10000");
        p.put("max.partition.fetch.bytes", "4194304");
        return new KafkaConsumer<>(p);
    }

    List<TopicPartition> partitions(KafkaConsumer<?, ?> c, String topic) {
        List<TopicPartition> out = new ArrayList<>();
        var known = c.partitionsFor(topic);
        if (known == null || known.isEmpty()) throw new IllegalStateException("no topic " + topic);
        known.forEach(i -> out.add(new TopicPartition(topic, i.partition())));
        out.sort((a, b) -> a.partition() - b.partition());
        return out;
    }

    /** Where a group's offsets are. */
    static TopicPartition offsetsOf(String group, int partitions) {
        return new TopicPartition(OFFSETS, (group.hashCode() & 0x7fffffff) % partitions);
    }

    // --- reading -----------------------------------------------------------------------------------------------------------------
    /** All of a topic, to the end offsets as they are now: "until n records" would miss late repeats. */
    void readAll(KafkaConsumer<byte[], byte[]> c, String topic, Consumer<ConsumerRecord<byte[], byte[]>> each) {
        List<TopicPartition> parts = partitions(c, topic);
        read(c, c.beginningOffsets(parts), c.endOffsets(parts), each);
    }

    void read(KafkaConsumer<byte[], byte[]> c, Map<TopicPartition, Long> from, Map<TopicPartition, Long> to,
              Consumer<ConsumerRecord<byte[], byte[]>> each) {
        long deadline = System.currentTimeMillis() + READ_DEADLINE_MS;
        c.assign(from.keySet());
        from.forEach(c::seek);
        List<TopicPartition> left = new ArrayList<>(from.keySet());
        while (true) {
            left.removeIf(p -> {
                if (c.position(p) < to.get(p)) return false;
                c.pause(List.of(p));
                return true;
            });
            if (left.isEmpty()) return;
            if (System.currentTimeMillis() > deadline) throw new IllegalStateException("reading " + left + " to " + to + " took too long");
            for (ConsumerRecord<byte[], byte[]> r : c.poll(Duration.ofMillis(100)))
                if (r.offset() < to.get(new TopicPartition(r.topic(), r.partition()))) each.accept(r);
        }
    }

    private JsonNode dump(JsonNode q, String topic) {
        ArrayNode out = json.createArrayNode();
        try (KafkaConsumer<byte[], byte[]> c = consumer(q.path("level").asText("read_committed"))) {
            readAll(c, topic, r -> out.add(show(r)));
        }
        return json.createObjectNode().set("records", out);
    }

    private static ObjectNode show(ConsumerRecord<byte[], byte[]> r) {
        ObjectNode o = json.createObjectNode().put("partition", r.partition()).put("offset", r.offset()).put("timestamp", r.timestamp());
        o.put("key", r.key()).put("value", r.value());
        ArrayNode headers = o.putArray("headers");
        for (Header h : r.headers()) headers.addArray().add(h.key()).add(h.value());
        return o;
    }

    /** Of each partition: first offset, stable offset, high watermark. */
    Map<TopicPartition, long[]> ends(String topic) {
        Map<TopicPartition, long[]> out = new LinkedHashMap<>();
        try (KafkaConsumer<byte[], byte[]> rc = consumer("read_committed"); KafkaConsumer<byte[], byte[]> ru = consumer("read_uncommitted")) {
            List<TopicPartition> parts = partitions(rc, topic);
            Map<TopicPartition, Long> first = rc.beginningOffsets(parts), stable = rc.endOffsets(parts), high = ru.endOffsets(parts);
            for (TopicPartition p : parts) out.put(p, new long[] {first.get(p), stable.get(p), high.get(p)});
        }
        return out;
    }

    /** Records that only read_uncommitted shows: how many, and up to `max` of them with the committed record of the same bytes, if any. */
    private JsonNode aborted(JsonNode q, String topic) {
        Map<Integer, BitSet> valid = new HashMap<>();
        Map<ByteBuffer, ObjectNode> examples = new LinkedHashMap<>();
        int[] count = {0};
        int max = q.path("max").asInt(5);
        try (KafkaConsumer<byte[], byte[]> c = consumer("read_committed"); KafkaConsumer<byte[], byte[]> all = consumer("read_uncommitted")) {
            readAll(c, topic, r -> valid.computeIfAbsent(r.partition(), p -> new BitSet()).set((int) r.offset()));
            readAll(all, topic, r -> {
                if (valid.containsKey(r.partition()) && valid.get(r.partition()).get((int) r.offset())) return;
                if (count[0]++ < max && r.value() != null) examples.put(ByteBuffer.wrap(r.value()), show(r));
            });
        }
        try (KafkaConsumer<byte[], byte[]> c = consumer("read_committed")) {
            if (!examples.isEmpty())
                readAll(c, topic, r -> {
                    ObjectNode of = r.value() == null ? null : examples.get(ByteBuffer.wrap(r.value()));
                    if (of != null) of.put("again_partition", r.partition()).put("again_offset", r.offset());
                });
        }
        ObjectNode out = json.createObjectNode().put("count", count[0]);
        out.putArray("examples").addAll(examples.values());
        return out;
    }

    private JsonNode showEnds(String topic) {
        ArrayNode out = json.createArrayNode();
        ends(topic).forEach((p, e) -> out.addObject().put("partition", p.partition()).put("first", e[0]).put("stable", e[1]).put("high", e[2]));
        return json.createObjectNode().set("partitions", out);
    }

    // --- topics ------------------------------------------------------------------------------------------------------------------
    private JsonNode create(JsonNode c, String topic) throws Exception {
        int rf = c.path("rf").asInt(0), n = c.path("partitions").asInt(1);
        NewTopic t = new NewTopic(topic, Optional.of(n), rf > 0 ? Optional.of((short) rf) : Optional.empty());
        Map<String, String> configs = new HashMap<>();
        c.path("configs").properties().forEach(e -> configs.put(e.getKey(), e.getValue().asText()));
        get(admin.createTopics(List.of(t.configs(configs))).all());
        for (int i = 0; i < 100; i++) { // metadata follows a moment later
            try {
                var parts = get(admin.describeTopics(List.of(topic)).allTopicNames()).get(topic).partitions();
                if (parts.size() == n && parts.stream().allMatch(p -> p.leader() != null && !p.leader().isEmpty())) return ok();
            } catch (ExecutionException e) {
                if (!(e.getCause() instanceof org.apache.kafka.common.errors.UnknownTopicOrPartitionException)) throw e;
            }
            Thread.sleep(50);
        }
        throw new IllegalStateException("topic " + topic + " has no leaders after 5 s");
    }

    private JsonNode describe(String topic) throws Exception {
        TopicDescription d = get(admin.describeTopics(List.of(topic)).allTopicNames()).get(topic);
        ArrayNode parts = json.createArrayNode();
        d.partitions().forEach(p -> {
            ObjectNode o = parts.addObject().put("partition", p.partition()).put("leader", p.leader() == null ? -1 : p.leader().id());
            ArrayNode isr = o.putArray("isr");
            p.isr().forEach(n -> isr.add(n.id()));
        });
        return json.createObjectNode().put("id", d.topicId().toString()).set("partitions", parts);
    }

    private JsonNode deleteRecords(JsonNode c, String topic) throws Exception {
        TopicPartition p = new TopicPartition(topic, c.path("partition").asInt());
        return done(admin.deleteRecords(Map.of(p, RecordsToDelete.beforeOffset(c.get("before").asLong()))).all());
    }

    private JsonNode configure(JsonNode c, String topic) throws Exception {
        List<AlterConfigOp> ops = new ArrayList<>();
        c.get("configs").properties().forEach(
            e -> ops.add(new AlterConfigOp(new ConfigEntry(e.getKey(), e.getValue().asText()), AlterConfigOp.OpType.SET)));
        Map<ConfigResource, Collection<AlterConfigOp>> all = Map.of(new ConfigResource(ConfigResource.Type.TOPIC, topic), ops);
        return done(admin.incrementalAlterConfigs(all).all());
    }

    /** Makes `broker` the preferred leader of the partition, and the leader if it is in sync. */
    private JsonNode lead(JsonNode c, String topic) throws Exception {
        TopicPartition p = new TopicPartition(topic, c.path("partition").asInt());
        List<Integer> replicas = new ArrayList<>(List.of(c.get("broker").asInt()));
        get(admin.describeTopics(List.of(topic)).allTopicNames()).get(topic).partitions().get(p.partition()).replicas().forEach(n -> {
            if (n.id() != replicas.get(0)) replicas.add(n.id());
        });
        get(admin.alterPartitionReassignments(Map.of(p, Optional.of(new NewPartitionReassignment(replicas)))).all());
        get(admin.electLeaders(ElectionType.PREFERRED, Set.of(p)).partitions());
        return ok();
    }

    private static FeatureUpdate feature(JsonNode c) {
        return new FeatureUpdate((short) c.get("level").asInt(), c.path("down").asBoolean() ? FeatureUpdate.UpgradeType.SAFE_DOWNGRADE : FeatureUpdate.UpgradeType.UPGRADE);
    }

    /** Bytes a second that clients of this id may write to, and read from, each broker; without `rate` as many as they like. */
    private JsonNode quota(JsonNode c) throws Exception {
        Double rate = c.has("rate") ? c.get("rate").asDouble() : null;
        ClientQuotaEntity who = new ClientQuotaEntity(Map.of(ClientQuotaEntity.CLIENT_ID, c.get("client").asText()));
        var ops = List.of(new ClientQuotaAlteration.Op("producer_byte_rate", rate), new ClientQuotaAlteration.Op("consumer_byte_rate", rate));
        return done(admin.alterClientQuotas(List.of(new ClientQuotaAlteration(who, ops))).all());
    }

    // --- writing -----------------------------------------------------------------------------------------------------------------
    private JsonNode produce(JsonNode c, String topic) throws Exception {
        int partitions;
        try (KafkaConsumer<byte[], byte[]> q = consumer("read_committed")) {
            partitions = partitions(q, topic).size();
        }
        Generator g = new Generator(client(), c, partitions);
        if (c.path("background").asBoolean()) return start(g);
        g.start();
        g.join();
        return report(g);
    }

    private JsonNode start(Thread t) {
        t.start();
        jobs.put(++lastJob, t);
        return json.createObjectNode().put("job", lastJob);
    }

    private JsonNode follow(JsonNode c, String topic) {
        List<String> topics = new ArrayList<>();
        c.path("topics").forEach(t -> topics.add(t.asText()));
        if (topic != null) topics.add(topic);
        return start(new Follower.Reader(this, topics, c.path("level").asText("read_committed"), "end".equals(c.path("from").asText())));
    }

    /** `how`: progress (default), wait (until it has done all), stop (now). */
    private JsonNode job(JsonNode c) throws Exception {
        int id = c.get("job").asInt();
        Thread t = jobs.get(id);
        if (t == null) throw new IllegalArgumentException("no job " + id);
        String how = c.path("how").asText("progress");
        if (how.equals("stop")) {
            if (t instanceof Generator) ((Generator) t).end();
            else ((Follower) t).end();
        }
        if (!how.equals("progress")) {
            t.join(c.path("timeout_ms").asLong(300_000));
            if (t.isAlive()) throw new IllegalStateException("job " + id + " isn't done");
            jobs.remove(id);
        }
        return report(t);
    }

    private static JsonNode report(Thread t) throws Exception {
        ObjectNode out = json.createObjectNode();
        if (t instanceof Generator) ((Generator) t).progress(out);
        else ((Follower) t).report(out);
        return out;
    }

    /** `transaction`: commit, abort, or open (left so until end_transaction; a foreign producer that hangs). */
    private JsonNode send(JsonNode c, String topic) throws Exception {
        String how = c.path("transaction").asText(null);
        KafkaProducer<byte[], byte[]> producer = how == null ? plain(c) : transactional(c);
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        for (JsonNode r : c.get("records")) {
            Integer partition = r.hasNonNull("partition") ? r.get("partition").asInt() : null;
            Long timestamp = r.hasNonNull("timestamp") ? r.get("timestamp").asLong() : null;
            var record = new ProducerRecord<>(topic, partition, timestamp, bytes(r.get("key")), bytes(r.get("value")));
            for (JsonNode h : r.path("headers")) record.headers().add(h.get(0).asText(), bytes(h.get(1)));
            sent.add(producer.send(record));
        }
        producer.flush();
        ArrayNode offsets = json.createArrayNode();
        for (Future<RecordMetadata> f : sent) offsets.addArray().add(get(f).partition()).add(get(f).offset());
        if (how != null && !how.equals("open")) end(c.path("id").asText("witness"), how.equals("commit"));
        return json.createObjectNode().set("offsets", offsets);
    }

    private static byte[] bytes(JsonNode n) {
        return n == null || n.isNull() ? null : Base64.getDecoder().decode(n.asText());
    }

    private KafkaProducer<byte[], byte[]> plain(JsonNode c) {
        if (c.has("compression")) { // its own handle: codecs are set per producer
            if (plain != null) plain.close();
            plain = null;
        }
        if (plain == null) {
            Properties p = client();
            p.put("acks", "all");
            p.put("max.request.size", "67108864");
            p.put("compression.type", c.path("compression").asText("none"));
            plain = new KafkaProducer<>(p);
        }
        return plain;
    }

    private KafkaProducer<byte[], byte[]> transactional(JsonNode c) {
        String id = c.path("id").asText("witness");
        if (!open.containsKey(id)) {
            Properties p = client();
            p.put("transactional.id", id);
            p.put("transaction.timeout.ms", c.path("timeout_ms").asInt(60_000));
            p.put("compression.type", c.path("compression").asText("none"));
            KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(p);
            producer.initTransactions();
            producer.beginTransaction();
            open.put(id, producer);
        }
        return open.get(id);
    }

    private JsonNode endTransaction(JsonNode c) {
        end(c.path("id").asText("witness"), "commit".equals(c.path("how").asText("abort")));
        return ok();
    }

    private void end(String id, boolean commit) {
        try (KafkaProducer<byte[], byte[]> p = open.remove(id)) {
            if (p == null) throw new IllegalArgumentException("no open transaction " + id);
            if (commit) p.commitTransaction();
            else p.abortTransaction();
        }
    }

    // --- groups ------------------------------------------------------------------------------------------------------------------
    /** Stable: waits for offsets that are part of an open transaction, as a new owner of the partitions would. */
    Map<TopicPartition, Long> committed(String group, boolean stable) throws Exception {
        return committed(admin, group, stable);
    }

    static Map<TopicPartition, Long> committed(Admin admin, String group, boolean stable) throws Exception {
        Map<TopicPartition, Long> out = new HashMap<>();
        offsets(admin, group, stable).forEach((p, o) -> out.put(p, o.offset()));
        return out;
    }

    private static Map<TopicPartition, OffsetAndMetadata> offsets(Admin admin, String group, boolean stable) throws Exception {
        Map<TopicPartition, OffsetAndMetadata> out = new HashMap<>();
        try {
            get(admin.listConsumerGroupOffsets(group, new ListConsumerGroupOffsetsOptions().requireStable(stable)).partitionsToOffsetAndMetadata())
                .forEach((p, o) -> {
                    if (o != null) out.put(p, o);
                });
        } catch (ExecutionException e) {
            if (!(e.getCause() instanceof GroupIdNotFoundException)) throw e;
        }
        return out;
    }

    private JsonNode showCommitted(String group) throws Exception {
        ArrayNode out = json.createArrayNode();
        Map<String, ObjectNode> sorted = new TreeMap<>();
        offsets(admin, group, true).forEach((p, o) -> sorted.put(String.format("%s/%09d", p.topic(), p.partition()),
            json.createObjectNode().put("topic", p.topic()).put("partition", p.partition()).put("offset", o.offset()).put("metadata", o.metadata())));
        sorted.values().forEach(out::add);
        return json.createObjectNode().set("offsets", out);
    }

    @SuppressWarnings("removal") // group metadata by name alone: an outsider of the group is just what this is
    private JsonNode commitOffset(JsonNode c, String group, String topic) throws Exception {
        var offset = Map.of(new TopicPartition(topic, c.path("partition").asInt()),
                            new OffsetAndMetadata(c.get("offset").asLong(), c.path("metadata").asText("")));
        if (!c.path("transactional").asBoolean()) return done(admin.alterConsumerGroupOffsets(group, offset).all());
        KafkaProducer<byte[], byte[]> p = transactional(json.createObjectNode().put("id", "witness.offsets"));
        p.sendOffsetsToTransaction(offset, new ConsumerGroupMetadata(group));
        if (!"open".equals(c.path("how").asText())) end("witness.offsets", !"abort".equals(c.path("how").asText()));
        return ok();
    }

    private JsonNode deleteOffsets(JsonNode c, String group, String topic) throws Exception {
        Set<TopicPartition> parts = Set.of(new TopicPartition(topic, c.path("partition").asInt()));
        return done(admin.deleteConsumerGroupOffsets(group, parts).all());
    }

    /** Records (not offsets: markers don't count) of these topics that the group hasn't committed. */
    private JsonNode pending(JsonNode q, String group) throws Exception {
        Map<TopicPartition, Long> committed = committed(group, false);
        long[] left = {0};
        try (KafkaConsumer<byte[], byte[]> c = consumer("read_committed")) {
            Map<TopicPartition, Long> from = new HashMap<>(), to = new HashMap<>();
            for (JsonNode t : q.get("topics")) {
                List<TopicPartition> parts = partitions(c, t.asText());
                Map<TopicPartition, Long> first = c.beginningOffsets(parts);
                c.endOffsets(parts).forEach((p, end) -> {
                    long at = Math.max(first.get(p), committed.getOrDefault(p, 0L));
                    if (end - at > 1000) left[0] += end - at;
                    else if (end > at) {
                        from.put(p, at);
                        to.put(p, end);
                    }
                });
            }
            if (!from.isEmpty()) read(c, from, to, r -> left[0]++);
        }
        return json.createObjectNode().put("pending", left[0]);
    }

    private JsonNode showGroup(String group) throws Exception {
        ObjectNode out = json.createObjectNode();
        try {
            ConsumerGroupDescription d = get(admin.describeConsumerGroups(List.of(group)).all()).get(group);
            out.put("state", d.groupState().toString()).put("assignor", d.partitionAssignor()).put("coordinator", d.coordinator().id());
            ArrayNode members = out.putArray("members");
            d.members().forEach(m -> {
                ObjectNode o = members.addObject().put("id", m.consumerId()).put("client", m.clientId()).put("instance", m.groupInstanceId().orElse(null));
                ArrayNode parts = o.putArray("partitions");
                m.assignment().topicPartitions().stream().map(TopicPartition::toString).sorted().forEach(parts::add);
            });
        } catch (ExecutionException e) {
            if (!(e.getCause() instanceof GroupIdNotFoundException)) throw e;
            out.put("state", "Absent").putArray("members");
        }
        return out;
    }

    // --- transactions ------------------------------------------------------------------------------------------------------------
    /** Those that haven't ended, our own apart. */
    List<TransactionListing> transactions(String prefix) throws Exception {
        List<TransactionListing> out = new ArrayList<>();
        Set<TransactionState> states = Set.of(TransactionState.ONGOING, TransactionState.PREPARE_ABORT, TransactionState.PREPARE_COMMIT);
        for (TransactionListing t : listed(states))
            if (t.transactionalId().startsWith(prefix) && !t.transactionalId().startsWith("witness.")) out.add(t);
        return out;
    }

    /** While brokers come back the admin client may trip over its own list of them ("Unexpected key set"). */
    private Collection<TransactionListing> listed(Set<TransactionState> states) throws Exception {
        for (int left = 20;; left--) {
            try {
                return get(admin.listTransactions(new ListTransactionsOptions().filterStates(states)).all());
            } catch (IllegalArgumentException | ExecutionException e) {
                if (left == 0 || e instanceof ExecutionException && !(e.getCause() instanceof IllegalArgumentException)) throw e;
                Thread.sleep(500);
            }
        }
    }

    private JsonNode showTransactions(String prefix) throws Exception {
        ArrayNode out = json.createArrayNode();
        for (TransactionListing t : transactions(prefix)) {
            TransactionDescription d = get(admin.describeTransactions(List.of(t.transactionalId())).all()).get(t.transactionalId());
            ObjectNode o = out.addObject().put("id", t.transactionalId()).put("state", t.state().toString());
            o.put("producer", t.producerId()).put("epoch", d.producerEpoch()).put("coordinator", d.coordinatorId());
            ArrayNode parts = o.putArray("partitions");
            d.topicPartitions().forEach(p -> parts.add(p.toString()));
        }
        return json.createObjectNode().set("transactions", out);
    }

    /** Of a transactional id that has been used, whether or not its transaction is open. */
    private JsonNode coordinator(String id) throws Exception {
        TransactionDescription d = get(admin.describeTransactions(List.of(id)).all()).get(id);
        return json.createObjectNode().put("coordinator", d.coordinatorId()).put("state", d.state().toString());
    }

    /** What the leaders know of producers; `start` >= 0: a transaction is open on that partition, whether a coordinator knows it or not. */
    private JsonNode showProducers(String topic) throws Exception {
        ArrayNode out = json.createArrayNode();
        List<TopicPartition> parts;
        try (KafkaConsumer<byte[], byte[]> c = consumer("read_committed")) {
            parts = partitions(c, topic);
        }
        get(admin.describeProducers(parts).all()).forEach((p, s) -> s.activeProducers().forEach(a ->
            out.addObject().put("partition", p.partition()).put("producer", a.producerId()).put("epoch", a.producerEpoch())
                .put("sequence", a.lastSequence()).put("start", a.currentTransactionStartOffset().orElse(-1))));
        return json.createObjectNode().set("producers", out);
    }
}
