// SPDX-License-Identifier: MIT
// Writes stamped records (Stamp.java) at a given rate, in plain or transactional batches of which some are aborted on purpose.
// Runs on its own thread, so that a spec can go on while records flow; sequences of a topic continue from run to run.
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;

final class Generator extends Thread {
    /** Where a topic's sequences stand. */
    private static final class Position {
        long aborted;
        final Map<Integer, Long> s = new HashMap<>();
        final Map<String, Long> ks = new HashMap<>();
    }

    private static final Map<String, Position> positions = new ConcurrentHashMap<>();

    private final String topic;
    private final long count, rate;
    private final int partitions, size, keys, batch, abortEvery;
    private final byte[][] prefixes; // before the stamp, by s modulo their number
    private final Properties client;
    private KafkaProducer<byte[], byte[]> producer;
    private final AtomicLong acked = new AtomicLong(), failed = new AtomicLong();
    private volatile long sent, aborted;
    private volatile boolean stop;
    private volatile String error;
    private final long began = System.nanoTime();

    Generator(Properties client, JsonNode c, int partitions) {
        super("generator");
        setDaemon(true);
        topic = c.get("topic").asText();
        count = c.path("count").asLong(Long.MAX_VALUE);
        rate = c.path("rate").asLong(0);
        size = c.path("size").asInt(100);
        keys = c.path("keys").asInt(8);
        batch = c.path("transaction").asInt(0);
        abortEvery = c.path("abort_every").asInt(0);
        prefixes = new byte[c.path("prefixes").size()][];
        for (int i = 0; i < prefixes.length; i++) prefixes[i] = c.path("prefixes").get(i).asText().getBytes(StandardCharsets.UTF_8);
        this.partitions = c.path("partitions").asInt(partitions);
        client.put("acks", "all");
        client.put("enable.idempotence", "true");
        client.put("linger.ms", rate > 0 ? "0" : "5");
        client.put("batch.size", "65536");
        client.put("delivery.timeout.ms", "300000"); // outlives the outages of the specs
        client.put("max.block.ms", "300000");
        client.put("compression.type", c.path("compression").asText("none"));
        if (batch > 0) client.put("transactional.id", "witness." + topic + "." + System.nanoTime());
        this.client = client;
        open();
    }

    private void open() {
        producer = new KafkaProducer<>(client);
        if (batch > 0) producer.initTransactions();
    }

    @Override public void run() {
        Position at = positions.computeIfAbsent(topic, t -> new Position());
        try {
            synchronized (at) {
                if (batch > 0) transactions(at);
                else for (long i = 0; i < count && !stop; i++) send(at, i, false);
            }
            producer.flush();
        } catch (Exception e) {
            error = e.toString();
        } finally {
            producer.close();
        }
    }

    /**
     * The aborted ones come on top of `count`. One whose records are refused, before its end was asked for, is aborted and done again by a
     * new producer: Kafka 4.3.1 was seen to refuse the first one on a new topic (INVALID_TXN_STATE), rarely.
     */
    private void transactions(Position at) {
        for (long i = 0, n = 1, again = 0; i < count && !stop; n++) {
            boolean abort = abortEvery > 0 && n % abortEvery == 0;
            long from = i, sentBefore = sent, ackedBefore = acked.get(), abortedBefore = aborted;
            Map<Integer, Long> s = new HashMap<>(at.s);
            Map<String, Long> ks = new HashMap<>(at.ks);
            producer.beginTransaction();
            boolean refused = false;
            try {
                for (int j = 0; j < batch && i < count; j++) {
                    send(at, abort ? aborted : i, abort);
                    if (abort) aborted++;
                    else i++;
                }
                producer.flush(); // those to be aborted would be thrown away unsent
            } catch (KafkaException e) {
                refused = true;
            }
            if ((refused || failed.get() > 0) && again++ < 3) {
                producer.close();
                i = from;
                aborted = abortedBefore;
                n--;
                sent = sentBefore;
                acked.set(ackedBefore);
                failed.set(0);
                at.s.clear();
                at.s.putAll(s);
                at.ks.clear();
                at.ks.putAll(ks);
                open();
            } else if (abort) {
                producer.abortTransaction();
            } else {
                producer.commitTransaction();
            }
        }
    }

    private void send(Position at, long i, boolean abort) {
        long due = System.currentTimeMillis() * 1000;
        if (rate > 0 && !abort) {
            long offset = (long) (sent * 1e9 / rate), wait;
            while ((wait = began + offset - System.nanoTime()) > 0 && !stop) LockSupport.parkNanos(Math.min(wait, 50_000_000));
            due = System.currentTimeMillis() * 1000 - Math.max(0, System.nanoTime() - began - offset) / 1000;
        }
        int p = (int) (i % partitions);
        String k = keys == 0 ? "" : "k" + p + "-" + i / partitions % keys;
        long s = -1, ks = -1, id;
        if (abort) {
            id = -(Stamp.origin(topic, p) << Stamp.BITS | ++at.aborted);
        } else {
            s = at.s.merge(p, 1L, Long::sum) - 1;
            ks = keys == 0 ? s : at.ks.merge(k, 1L, Long::sum) - 1;
            id = Stamp.origin(topic, p) << Stamp.BITS | s;
            sent++;
        }
        byte[] key = keys == 0 ? null : k.getBytes(StandardCharsets.ISO_8859_1);
        byte[] value = Stamp.text(id, p, s, k, ks, due, size);
        if (prefixes.length > 0 && !abort) value = joined(prefixes[(int) (s % prefixes.length)], value);
        producer.send(new ProducerRecord<>(topic, p, key, value), (m, e) -> {
            if (abort) return;
            if (e == null) acked.incrementAndGet();
            else failed.incrementAndGet();
        });
    }

    private static byte[] joined(byte[] a, byte[] b) {
        byte[] out = Arrays.copyOf(a, a.length + b.length);
        System.arraycopy(b, 0, out, a.length, b.length);
        return out;
    }

    void end() {
        stop = true;
    }

    void progress(ObjectNode to) {
        to.put("sent", sent).put("acked", acked.get()).put("failed", failed.get()).put("aborted", aborted).put("running", isAlive());
        to.put("seconds", (System.nanoTime() - began) / 1e9);
        if (error != null) to.put("error", error);
    }
}
