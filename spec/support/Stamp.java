// SPDX-License-Identifier: MIT
// The text that a generated record carries and that a transform copies or embeds:
//
//   @id,p,s,k,ks,t,len,crc;payload
//
// id: unique (negative: written in a transaction that was aborted, must never be seen again); p: input partition; s: sequence in it;
// k: key; ks: sequence in the key; t: scheduled time of sending in microseconds since 1970; len, crc: of the payload (CRC-32, hex).
// An output may have any text before and after; only "@" must not come earlier.
import java.nio.charset.StandardCharsets;
import java.util.zip.CRC32;

final class Stamp {
    static final int BITS = 36;
    static final long SEQUENCE = (1L << BITS) - 1;

    long id, s, ks, t;
    int p;
    String k;
    boolean whole, intact; // is the payload there in full, and as it was written?

    /** The part of an id that names topic and partition; two topics meet with probability 2^-14, and then the oracle says so. */
    static long origin(String topic, int partition) {
        CRC32 crc = new CRC32();
        crc.update(topic.getBytes(StandardCharsets.UTF_8));
        return (crc.getValue() & 0x3fff) << 12 | partition;
    }

    static byte[] text(long id, int p, long s, String k, long ks, long t, int size) {
        String head = "@" + id + "," + p + "," + s + "," + k + "," + ks + "," + t + ",";
        int length = Math.max(0, size - head.length() - 14);
        byte[] payload = new byte[length];
        long x = id * 0x9E3779B97F4A7C15L + 1;
        for (int i = 0; i < length; i++) {
            x = x * 6364136223846793005L + 1442695040888963407L;
            payload[i] = (byte) ('a' + (x >>> 33) % 26);
        }
        byte[] start = (head + length + "," + crc(payload, 0, length) + ";").getBytes(StandardCharsets.ISO_8859_1);
        byte[] out = new byte[start.length + length];
        System.arraycopy(start, 0, out, 0, start.length);
        System.arraycopy(payload, 0, out, start.length, length);
        return out;
    }

    /** Null: there is no stamp in these bytes. */
    static Stamp parse(byte[] value) {
        if (value == null) return null;
        int at = 0;
        while (at < value.length && value[at] != '@') at++;
        int end = at;
        while (end < value.length && value[end] != ';') end++;
        if (end >= value.length) return null;
        String[] f = new String(value, at + 1, end - at - 1, StandardCharsets.ISO_8859_1).split(",", -1);
        if (f.length != 8) return null;
        try {
            Stamp r = new Stamp();
            r.id = Long.parseLong(f[0]);
            r.p = Integer.parseInt(f[1]);
            r.s = Long.parseLong(f[2]);
            r.k = f[3];
            r.ks = Long.parseLong(f[4]);
            r.t = Long.parseLong(f[5]);
            int length = Integer.parseInt(f[6]);
            r.whole = length >= 0 && end + 1 + length <= value.length;
            r.intact = r.whole && crc(value, end + 1, length).equals(f[7]);
            return r;
        } catch (NumberFormatException e) {
            return null;
        }
    }

    private static String crc(byte[] bytes, int from, int length) {
        CRC32 crc = new CRC32();
        crc.update(bytes, from, length);
        return String.format("%08x", crc.getValue());
    }
}
