// SPDX-License-Identifier: MIT
// Was every input record turned into its outputs exactly once? Reads inputs and outputs itself (read_committed, to the end offsets as
// they were), and goes over what should be there, never only over what is. Knows nothing of onced but the stamps its outputs carry.
//
//   lost        an input below the group's committed offset whose outputs aren't all there
//   repeated    an output more than its input calls for
//   disorder    s going back between an input partition and an output partition, or ks of a key in an output partition
//   ahead       an output of an input at or above the committed offset (offsets and outputs must move together)
//   foreign     an output whose id isn't among the inputs or isn't wanted in this topic, or that has no stamp
//   aborted     an output of an input that was aborted
//   damaged     an output whose payload isn't what was written
//   torn        an input with some of its outputs but not all: copies of one topic, or of several
//   miscounted  what the pipeline says of itself ("claims") isn't so
//   pending     an input at or above the committed offset (a finding unless "partial")
//   open        transactions that haven't ended; `unstable`: partitions, the one with the group's offsets too, whose stable offset is below
//               the high watermark
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.Arrays;
import java.util.BitSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;

final class Oracle {
    private static final String[] FINDINGS = {"lost", "repeated", "disorder", "ahead", "foreign", "aborted", "damaged", "torn", "miscounted",
                                              "unstamped", "twice_in_input"};
    private static final int EXAMPLES = 8;

    /** One input partition: where each of its records lies, by sequence. */
    private static final class Input {
        final TopicPartition tp;
        long[] offsets = new long[1024];
        int count;
        long committed;
        BitSet some = new BitSet(), missing = new BitSet(); // by sequence: has an output that it calls for; lacks one

        Input(TopicPartition tp) {
            this.tp = tp;
            Arrays.fill(offsets, -1);
        }

        boolean put(long s, long offset) {
            if (s >= offsets.length) {
                int old = offsets.length;
                offsets = Arrays.copyOf(offsets, (int) Math.max(s + 1, old * 2L));
                Arrays.fill(offsets, old, offsets.length, -1);
            }
            boolean isNew = offsets[(int) s] < 0;
            offsets[(int) s] = offset;
            count = Math.max(count, (int) s + 1);
            return isNew;
        }
    }

    private final Witness witness;
    private final JsonNode request;
    private final Map<Long, Input> inputs = new TreeMap<>();
    private final Map<String, Long> findings = new TreeMap<>();
    private final ArrayNode examples = Witness.json.createArrayNode();
    private final Map<String, Integer> shown = new HashMap<>();
    private long records, pending, offsetsStable = -1; // the first stable offset seen of the partition with the group's offsets

    Oracle(Witness witness, JsonNode request) {
        this.witness = witness;
        this.request = request;
        for (String f : FINDINGS) findings.put(f, 0L);
    }

    ObjectNode verify() throws Exception {
        ObjectNode out = Witness.json.createObjectNode(), outputs = Witness.json.createObjectNode();
        String group = request.path("group").asText(null);
        ArrayNode open = Witness.json.createArrayNode(), unstable = Witness.json.createArrayNode();
        settle(open, unstable);
        Map<TopicPartition, Long> committed = group == null ? Map.of() : committed(group, unstable.isEmpty()); // else it never is
        for (JsonNode t : request.get("inputs")) readInput(t.asText(), group == null ? null : committed);
        long visible = 0;
        for (JsonNode o : request.get("outputs")) {
            ObjectNode judged = judge(o);
            outputs.set(o.get("topic").asText(), judged);
            visible += judged.get("visible").asLong();
        }
        inputs.values().forEach(this::tear);
        claimed("records", records - pending);
        claimed("outputs", visible);
        boolean ok = open.isEmpty() && unstable.isEmpty() && (pending == 0 || request.path("partial").asBoolean());
        for (Map.Entry<String, Long> f : findings.entrySet()) {
            out.put(f.getKey(), f.getValue());
            ok &= f.getValue() == 0 || f.getKey().equals("unstamped") && request.path("allow_unstamped").asBoolean();
        }
        out.put("ok", ok).put("inputs", records).put("pending", pending);
        out.set("outputs", outputs);
        out.set("open", open);
        out.set("unstable", unstable);
        out.set("examples", examples);
        return out;
    }

    private void finding(String kind, String text) {
        findings.merge(kind, 1L, Long::sum);
        if (shown.merge(kind, 1, Integer::sum) <= EXAMPLES) examples.add(kind + ": " + text);
    }

    private void tear(Input in) {
        in.some.and(in.missing);
        in.some.stream().forEach(s -> finding("torn", in.tp + "@" + in.offsets[s] + " s=" + s));
    }

    private void claimed(String what, long found) {
        long claim = request.path("claims").path(what).asLong(found);
        if (claim != found) finding("miscounted", what + ": " + claim + " claimed, " + found + " are there");
    }

    /** Markers of a transaction that has just ended may still be on their way: a short wait, then what is open is a finding. */
    private void settle(ArrayNode open, ArrayNode unstable) throws Exception {
        long deadline = System.nanoTime() + request.path("settle_ms").asLong(10_000) * 1_000_000;
        String prefix = request.path("transactions").asText("");
        do {
            open.removeAll();
            unstable.removeAll();
            witness.transactions(prefix).forEach(t -> open.add(t.transactionalId() + " " + t.state()));
            for (JsonNode o : request.get("outputs")) witness.ends(o.get("topic").asText()).forEach((p, e) -> unstable(p, e, unstable));
            if (request.hasNonNull("group")) unstableOffsets(request.get("group").asText(), unstable);
            if (open.isEmpty() && unstable.isEmpty()) return;
            Thread.sleep(100);
        } while (System.nanoTime() < deadline);
    }

    private static void unstable(TopicPartition p, long[] ends, ArrayNode to) {
        if (ends[1] < ends[2]) to.add(p + " " + ends[1] + " < " + ends[2]);
    }

    /** The partition that has the group's offsets has other groups', too: what goes on there isn't left open. */
    private void unstableOffsets(String group, ArrayNode to) {
        Map<TopicPartition, long[]> ends = witness.ends(Witness.OFFSETS);
        TopicPartition p = Witness.offsetsOf(group, ends.size());
        long[] now = ends.get(p);
        if (offsetsStable < 0) offsetsStable = now[1];
        if (offsetsStable == now[1]) unstable(p, now, to);
    }

    /** Kafka's client leaves out, in silence, partitions on which a transaction is open (of commits past markers while nothing flows). */
    private Map<TopicPartition, Long> committed(String group, boolean stable) throws Exception {
        Map<TopicPartition, Long> out = witness.committed(group, stable);
        for (int i = 0; stable && i < 3000 && !out.keySet().containsAll(witness.committed(group, false).keySet()); i++) {
            Thread.sleep(20);
            out.putAll(witness.committed(group, true));
        }
        return out;
    }

    /** Without a group (no committed offsets to compare with) every input counts as done. */
    private void readInput(String topic, Map<TopicPartition, Long> committed) {
        try (KafkaConsumer<byte[], byte[]> c = witness.consumer("read_committed")) {
            for (TopicPartition tp : witness.partitions(c, topic)) {
                Input in = new Input(tp);
                in.committed = committed == null ? Long.MAX_VALUE : committed.getOrDefault(tp, -1L);
                inputs.put(Stamp.origin(topic, tp.partition()), in);
            }
            witness.readAll(c, topic, r -> {
                Stamp stamp = Stamp.parse(r.value());
                if (stamp == null || stamp.id < 0) {
                    finding("unstamped", "input " + place(r));
                    return;
                }
                records++;
                Input in = inputs.get(stamp.id >> Stamp.BITS);
                if (in == null || in.tp.partition() != r.partition() || !in.put(stamp.id & Stamp.SEQUENCE, r.offset()))
                    finding("twice_in_input", place(r));
                if (in != null && r.offset() >= in.committed) pending++;
            });
        }
    }

    private static String place(ConsumerRecord<byte[], byte[]> r) {
        return r.topic() + "/" + r.partition() + "@" + r.offset();
    }

    private ObjectNode judge(JsonNode o) {
        String topic = o.get("topic").asText();
        Map<Long, int[]> counts = new HashMap<>();
        Map<String, long[]> last = new HashMap<>();
        long[] visible = {0}, written = {0};
        inputs.forEach((origin, in) -> counts.put(origin, new int[in.count]));
        try (KafkaConsumer<byte[], byte[]> c = witness.consumer("read_committed")) {
            witness.readAll(c, topic, r -> {
                visible[0]++;
                look(o, r, counts, last);
            });
        }
        try (KafkaConsumer<byte[], byte[]> c = witness.consumer("read_uncommitted")) {
            witness.readAll(c, topic, r -> written[0]++);
        }
        inputs.forEach((origin, in) -> compare(o, in, counts.get(origin)));
        return Witness.json.createObjectNode().put("visible", visible[0]).put("aborted_copies", written[0] - visible[0]);
    }

    private void look(JsonNode o, ConsumerRecord<byte[], byte[]> r, Map<Long, int[]> counts, Map<String, long[]> last) {
        Stamp stamp = Stamp.parse(r.value());
        if (stamp == null) {
            if (!request.path("allow_unstamped").asBoolean()) finding("foreign", place(r) + " has no stamp");
            return;
        }
        if (stamp.id < 0) {
            finding("aborted", place(r) + " id=" + stamp.id);
            return;
        }
        long origin = stamp.id >> Stamp.BITS, s = stamp.id & Stamp.SEQUENCE;
        int[] count = counts.get(origin);
        if (count == null || s >= count.length || inputs.get(origin).offsets[(int) s] < 0) {
            finding("foreign", place(r) + " id=" + stamp.id + " isn't among the inputs");
            return;
        }
        count[(int) s]++;
        if (stamp.p != inputs.get(origin).tp.partition() || stamp.s != s || o.path("crc").asBoolean(request.path("crc").asBoolean(true)) && !stamp.intact)
            finding("damaged", place(r));
        ascending(last, origin + "/" + r.partition(), s, r, "s");
        if (!stamp.k.isEmpty()) ascending(last, origin + "/" + stamp.k + "/" + r.partition(), stamp.ks, r, "ks of " + stamp.k);
    }

    private void ascending(Map<String, long[]> last, String key, long value, ConsumerRecord<byte[], byte[]> r, String what) {
        long[] before = last.computeIfAbsent(key, k -> new long[] {-1});
        if (value < before[0]) finding("disorder", place(r) + " " + what + "=" + value + " after " + before[0]);
        before[0] = value;
    }

    /** `of` and `take`: which inputs go to this output, by s modulo `of`; `copies`: how many outputs each makes. */
    private void compare(JsonNode o, Input in, int[] counts) {
        int copies = o.path("copies").asInt(1), of = o.path("of").asInt(1);
        List<Integer> take = new java.util.ArrayList<>();
        o.path("take").forEach(t -> take.add(t.asInt()));
        for (int s = 0; s < in.count; s++) {
            if (in.offsets[s] < 0) continue; // never written (the generator's send failed)
            int want = of == 1 || take.contains(s % of) ? copies : 0;
            if (want > 0 && counts[s] > 0) in.some.set(s);
            if (want > counts[s]) in.missing.set(s);
            String text = in.tp + "@" + in.offsets[s] + " s=" + s + " in " + o.get("topic").asText() + ": " + counts[s] + " of " + want;
            if (in.offsets[s] >= in.committed) {
                if (counts[s] > 0) finding("ahead", text + ", committed " + in.committed);
            } else if (counts[s] < want) {
                finding("lost", text);
            }
            if (want == 0 && counts[s] > 0) finding("foreign", text);
            else if (counts[s] > want) finding("repeated", text);
        }
    }
}
