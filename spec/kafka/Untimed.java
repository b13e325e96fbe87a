// SPDX-License-Identifier: MIT
// Writes one record without a timestamp (-1), as some clients do; Kafka's own producer refuses to. By hand: a Produce request of version 3
// with a record batch of format 2.
//   spec/support/kafka java DIR spec/kafka/Untimed.java @bootstrap TOPIC VALUE      (VALUE: fewer than 50 bytes)
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.util.zip.CRC32C;

public final class Untimed {
    /** Base offset, length, leader epoch, format, crc, attributes, last offset delta, two times, producer, epoch, sequence, count. */
    private static byte[] batch(byte[] value) {
        int size = 61 + 7 + value.length;
        ByteBuffer b = ByteBuffer.allocate(size);
        b.putLong(0).putInt(size - 12).putInt(-1).put((byte) 2).putInt(0).putShort((short) 0).putInt(0).putLong(-1).putLong(-1);
        b.putLong(-1).putShort((short) -1).putInt(-1).putInt(1);
        b.put((byte) (2 * (6 + value.length))).put((byte) 0).put((byte) 0).put((byte) 0).put((byte) 1); // lengths are zigzag varints
        b.put((byte) (2 * value.length)).put(value).put((byte) 0);
        CRC32C crc = new CRC32C();
        crc.update(b.array(), 21, size - 21);
        b.putInt(17, (int) crc.getValue());
        return b.array();
    }

    public static void main(String[] args) throws Exception {
        String[] at = args[0].split("[:,]");
        byte[] topic = args[1].getBytes(), records = batch(args[2].getBytes());
        ByteBuffer b = ByteBuffer.allocate(100 + topic.length + records.length);
        b.putShort((short) 0).putShort((short) 3).putInt(1).putShort((short) -1).putShort((short) -1).putShort((short) -1).putInt(5000);
        b.putInt(1).putShort((short) topic.length).put(topic).putInt(1).putInt(0).putInt(records.length).put(records).flip();
        try (Socket s = new Socket(at[0], Integer.parseInt(at[1]))) {
            s.setSoTimeout(10_000);
            DataOutputStream out = new DataOutputStream(s.getOutputStream());
            out.writeInt(b.remaining());
            out.write(b.array(), 0, b.limit());
            out.flush();
            DataInputStream in = new DataInputStream(s.getInputStream());
            byte[] answer = new byte[in.readInt()];
            in.readFully(answer);
            int code = ByteBuffer.wrap(answer).getShort(4 + 4 + 2 + topic.length + 4 + 4);
            System.out.println(code);
            System.exit(code == 0 ? 0 : 1);
        }
    }
}
