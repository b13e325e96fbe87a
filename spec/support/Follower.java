// SPDX-License-Identifier: MIT
// Watches while a pipeline works: a reader that runs beside it (latency; and did what it saw stay what it was? a correction afterwards
// would hide a torn commit), or a look at a group's committed offsets, five times a second or as often as is asked for, and in the end at the log
// of offsets (they must never go back).
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.InvalidOffsetException;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;

abstract class Follower extends Thread {
    protected volatile boolean stop;
    protected volatile String error;

    Follower() {
        setDaemon(true);
    }

    abstract void turn() throws Exception;
    abstract void report(ObjectNode to) throws Exception;

    @Override public void run() {
        try {
            while (!stop) turn();
        } catch (Exception e) {
            error = e.toString();
        }
    }

    void end() throws InterruptedException {
        stop = true;
        join(30_000);
    }

    /** What a reader saw of one partition, in a form that can be compared. */
    private static final class Seen {
        long count, hash, next, first = -1;

        void add(ConsumerRecord<byte[], byte[]> r) {
            if (first < 0) first = r.offset();
            count++;
            next = r.offset() + 1;
            hash = (hash * 31 + r.offset()) * 31 + Arrays.hashCode(r.value());
        }
    }

    static final class Reader extends Follower {
        private final Witness witness;
        private final KafkaConsumer<byte[], byte[]> consumer;
        private final String level;
        private final Map<TopicPartition, Seen> seen = new HashMap<>();
        private long[] latency = new long[1 << 16];
        private int measured;
        private long lastSeen, stall; // ns: when records came last; the longest time without any, between the first and the last
        private final Map<String, Long> records = new ConcurrentHashMap<>();

        Reader(Witness witness, List<String> topics, String level, boolean fromEnd) {
            this.witness = witness;
            this.level = level;
            consumer = witness.consumer(level);
            List<TopicPartition> parts = new ArrayList<>();
            for (String topic : topics) {
                records.put(topic, 0L);
                parts.addAll(witness.partitions(consumer, topic));
            }
            consumer.assign(parts);
            if (fromEnd) consumer.seekToEnd(parts);
            else consumer.seekToBeginning(parts);
            for (TopicPartition p : parts) consumer.position(p); // seeks are lazy: what comes after this call is seen
        }

        @Override void turn() {
            for (ConsumerRecord<byte[], byte[]> r : consumer.poll(Duration.ofMillis(100))) {
                long now = System.currentTimeMillis() * 1000, seenAt = System.nanoTime();
                if (lastSeen != 0) stall = Math.max(stall, seenAt - lastSeen);
                lastSeen = seenAt;
                records.merge(r.topic(), 1L, Long::sum);
                seen.computeIfAbsent(new TopicPartition(r.topic(), r.partition()), t -> new Seen()).add(r);
                Stamp stamp = Stamp.parse(r.value());
                if (stamp == null) continue;
                if (measured == latency.length) latency = Arrays.copyOf(latency, measured * 2);
                latency[measured++] = now - stamp.t;
            }
        }

        @Override void report(ObjectNode to) {
            to.put("records", records.values().stream().mapToLong(n -> n).sum());
            ObjectNode each = to.putObject("topics");
            records.forEach(each::put);
            if (error != null) to.put("error", error);
            if (isAlive()) return;
            long[] l = Arrays.copyOf(latency, measured);
            Arrays.sort(l);
            if (measured > 0)
                to.put("p50_ms", l[measured / 2] / 1e3).put("p99_ms", l[(int) (measured * 0.99)] / 1e3).put("max_ms", l[measured - 1] / 1e3);
            to.put("stall_ms", stall / 1e6).put("consistent", again());
            consumer.close();
        }

        /** Reads the same stretch once more, if it is still there, and compares. */
        private boolean again() {
            Map<TopicPartition, Seen> second = new HashMap<>();
            try (KafkaConsumer<byte[], byte[]> c = witness.consumer(level)) {
                Map<TopicPartition, Long> from = new HashMap<>(), to = new HashMap<>();
                seen.forEach((p, s) -> {
                    from.put(p, s.first);
                    to.put(p, s.next);
                });
                witness.read(c, from, to, r -> second.computeIfAbsent(new TopicPartition(r.topic(), r.partition()), t -> new Seen()).add(r));
            } catch (InvalidOffsetException e) {
                return false;
            }
            for (Map.Entry<TopicPartition, Seen> e : seen.entrySet()) {
                Seen a = e.getValue(), b = second.get(e.getKey());
                if (b == null || a.count != b.count || a.hash != b.hash) return false;
            }
            return true;
        }
    }

    static final class Offsets extends Follower {
        private final Witness witness;
        private final Admin admin; // its own: short time-outs, so that a broker that is stopped doesn't blind it for long
        private final String group;
        private final long every, begun;
        private final Map<TopicPartition, Long> last = new HashMap<>();
        private volatile Map<String, Long> shown = Map.of();
        private final Set<String> decreased = new LinkedHashSet<>();
        private volatile long samples;

        Offsets(Witness witness, String group, long every) {
            Properties p = witness.client();
            p.put("request.timeout.ms", "2000");
            p.put("default.api.timeout.ms", "4000");
            admin = Admin.create(p);
            this.witness = witness;
            this.group = group;
            this.every = every;
            try (KafkaConsumer<byte[], byte[]> c = witness.consumer("read_committed")) {
                begun = c.endOffsets(log(c)).values().iterator().next();
            }
        }

        private List<TopicPartition> log(KafkaConsumer<byte[], byte[]> c) {
            return List.of(Witness.offsetsOf(group, c.partitionsFor(Witness.OFFSETS).size()));
        }

        /**
         * A coordinator that has just taken over may not know yet what is settled; then what a member would be told counts. Partitions on
         * which a transaction is open are left out of that in silence: nothing is known of them, so they stay as they were.
         */
        private Map<TopicPartition, Long> look() throws Exception {
            Map<TopicPartition, Long> now = Witness.committed(admin, group, false);
            boolean isBehind = last.entrySet().stream().anyMatch(e -> now.getOrDefault(e.getKey(), -1L) < e.getValue());
            if (!isBehind) return now;
            Map<TopicPartition, Long> settled = Witness.committed(admin, group, true);
            now.keySet().forEach(p -> settled.computeIfAbsent(p, last::get));
            return settled;
        }

        @Override void turn() throws Exception {
            Map<TopicPartition, Long> now;
            try {
                now = look();
            } catch (Exception e) { // a coordinator that is down or loading is no finding
                Thread.sleep(every);
                return;
            }
            Map<String, Long> each = new TreeMap<>();
            now.forEach((p, o) -> each.put(p.toString(), o));
            shown = each;
            samples++;
            now.forEach((p, o) -> {
                Long before = last.put(p, o);
                if (before != null && before > o) decreased.add(p + ": " + before + " -> " + o);
            });
            last.forEach((p, o) -> {
                if (!now.containsKey(p) && o >= 0) decreased.add(p + ": " + o + " -> none");
            });
            last.keySet().retainAll(now.keySet());
            Thread.sleep(every);
        }

        private static String text(ByteBuffer from) {
            byte[] bytes = new byte[from.getShort()];
            from.get(bytes);
            return new String(bytes, StandardCharsets.UTF_8);
        }

        /** In the log of offsets, commit by commit: a look may come too late, or be given the next commit's while this one's waits for its end. */
        private void readLog() {
            Map<String, Long> last = new HashMap<>();
            try (KafkaConsumer<byte[], byte[]> c = witness.consumer("read_committed")) {
                witness.read(c, c.beginningOffsets(log(c)), c.endOffsets(log(c)), r -> {
                    ByteBuffer key = ByteBuffer.wrap(r.key());
                    if (key.getShort() > 1 || !text(key).equals(group)) return; // above: of the group itself
                    String of = text(key) + "-" + key.getInt();
                    Long now = r.value() == null ? null : (Long) ByteBuffer.wrap(r.value()).getLong(2); // behind its version
                    Long before = now == null ? last.remove(of) : last.put(of, now);
                    if (before != null && (now == null || now < before) && r.offset() >= begun)
                        decreased.add(of + ": " + before + " -> " + (now == null ? "none" : now));
                });
            }
        }

        @Override void report(ObjectNode to) throws Exception {
            to.put("samples", samples); // before the offsets: those are of this sample or of a later one
            ObjectNode each = to.putObject("offsets");
            shown.forEach(each::put);
            if (!isAlive()) {
                readLog();
                decreased.forEach(to.putArray("decreased")::add);
                admin.close();
            }
            if (error != null) to.put("error", error);
        }
    }
}
