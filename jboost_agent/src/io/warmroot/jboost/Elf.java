package io.warmroot.jboost;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;

/** The build id that a linker leaves in an ELF file: the note NT_GNU_BUILD_ID in a PT_NOTE segment. */
final class Elf {
    private static final int PT_NOTE = 4;
    private static final int NT_GNU_BUILD_ID = 3;
    private static final int GNU = 0x00554e47; // "GNU\0", low byte first
    private static final int LONGEST = 1 << 20;

    private Elf() {}

    /** The build id; null if there is none, or if this is no 64-bit ELF file. */
    static byte[] buildId(Path path) throws IOException {
        try (RandomAccessFile file = new RandomAccessFile(path.toFile(), "r")) {
            ByteBuffer head = read(file, 0, 64, ByteOrder.BIG_ENDIAN);
            if (head == null || head.getInt(0) != 0x7f454c46 || head.get(4) != 2) {
                return null;
            }
            ByteOrder order = head.get(5) == 1 ? ByteOrder.LITTLE_ENDIAN : ByteOrder.BIG_ENDIAN;
            head.order(order);
            long table = head.getLong(32);
            int size = head.getShort(54) & 0xffff;
            int count = head.getShort(56) & 0xffff;
            for (int number = 0; number < count; number++) {
                ByteBuffer program = size < 56 ? null : read(file, table + (long) number * size, 56, order);
                if (program == null) {
                    return null;
                }
                long length = program.getLong(32);
                if (program.getInt(0) == PT_NOTE && length > 0 && length <= LONGEST) {
                    ByteBuffer notes = read(file, program.getLong(8), (int) length, order);
                    byte[] id = notes == null ? null : buildId(notes, program.getLong(48) == 8 ? 8 : 4);
                    if (id != null) {
                        return id;
                    }
                }
            }
        }
        return null;
    }

    private static byte[] buildId(ByteBuffer notes, int align) {
        while (notes.remaining() >= 12) {
            int name = notes.getInt();
            int length = notes.getInt();
            int type = notes.getInt();
            long whole = rounded(name, align) + rounded(length, align);
            if (name < 0 || length < 0 || whole > notes.remaining()) {
                return null;
            }
            int next = notes.position() + (int) whole;
            if (type == NT_GNU_BUILD_ID && name == 4 && length >= 4 && length <= 64
                    && Integer.reverseBytes(notes.duplicate().order(ByteOrder.BIG_ENDIAN).getInt()) == GNU) {
                byte[] id = new byte[length];
                notes.position(notes.position() + (int) rounded(name, align));
                notes.get(id);
                return id;
            }
            notes.position(next);
        }
        return null;
    }

    private static long rounded(int length, int align) {
        return ((long) length + align - 1) / align * align;
    }

    private static ByteBuffer read(RandomAccessFile file, long at, int length, ByteOrder order) throws IOException {
        if (at < 0 || at + length > file.length()) {
            return null;
        }
        byte[] bytes = new byte[length];
        file.seek(at);
        file.readFully(bytes);
        return ByteBuffer.wrap(bytes).order(order);
    }
}
