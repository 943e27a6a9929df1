package io.warmroot.jboost;

import java.io.IOException;
import java.net.ConnectException;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.time.Duration;
import java.util.Locale;

/**
 * Ends a recording through a JVM's attach socket: no tool of the JDK, no signal.
 *
 * <p>The JVM answers {@code <code>\n<text>} and closes. Its code is 0 even where nothing was recorded, so only
 * the text counts; and whoever asks looks at the recording's size as well.
 */
final class Attach {
    /** What came of it, and what a person should know. */
    enum End {
        ENDED("the recording was ended through the attach socket"),
        ENDED_BEFORE("the recording had been ended before"),
        NOT_RECORDING("the JVM behind the attach socket does not record"),
        NO_SOCKET("there is no attach socket: the JVM needs -XX:+StartAttachListener and a /tmp that it can write to"),
        STALE("nobody listens at the attach socket: it was left by a JVM that was killed"),
        DENIED("the attach socket belongs to another user: record must run as the application's user and group"),
        CLOSED("the JVM closed the attach connection: record must run as the application's user and group"),
        SILENT("the JVM did not answer at its attach socket in time"),
        UNKNOWN("the JVM's answer at its attach socket means nothing to this agent");

        final String words;

        End(String words) {
            this.words = words;
        }

        /** Whether a whole recording should be on the disk now. */
        boolean recorded() {
            return this == ENDED || this == ENDED_BEFORE;
        }
    }

    /** The end, and the JVM's own words if it said any. */
    record Answer(End end, String text) {
        @Override
        public String toString() {
            return end != End.UNKNOWN || text.isEmpty() ? end.words : end.words + ": " + text;
        }
    }

    private static final byte[] END_RECORDING =
            "1\0jcmd\0AOT.end_recording\0\0\0".getBytes(StandardCharsets.US_ASCII);
    private static final int LONGEST = 64 * 1024;

    private Attach() {}

    /**
     * Asks the JVM at this socket to end its recording and waits for the answer: the JVM writes the recording
     * before it answers, and stands still meanwhile.
     */
    static Answer endRecording(Path socket, Duration atMost) {
        try {
            Files.readAttributes(socket, BasicFileAttributes.class, LinkOption.NOFOLLOW_LINKS);
        } catch (NoSuchFileException gone) {
            return new Answer(End.NO_SOCKET, "");
        } catch (AccessDeniedException denied) {
            return new Answer(End.DENIED, "");
        } catch (IOException odd) {
            return new Answer(End.UNKNOWN, String.valueOf(odd.getMessage()));
        }
        long deadline = System.nanoTime() + atMost.toNanos();
        boolean connected = false;
        try (SocketChannel channel = SocketChannel.open(UnixDomainSocketAddress.of(socket));
                Selector selector = Selector.open()) {
            connected = true;
            channel.write(ByteBuffer.wrap(END_RECORDING));
            channel.configureBlocking(false);
            channel.register(selector, SelectionKey.OP_READ);
            ByteBuffer answer = ByteBuffer.allocate(LONGEST);
            while (answer.hasRemaining()) {
                long left = (deadline - System.nanoTime()) / 1_000_000;
                if (left <= 0) {
                    return new Answer(End.SILENT, "");
                }
                selector.select(left);
                selector.selectedKeys().clear();
                if (channel.read(answer) < 0) {
                    break;
                }
            }
            return meaning(StandardCharsets.UTF_8.decode(answer.flip()).toString());
        } catch (IOException | IllegalArgumentException error) {
            return failure(error, connected);
        }
    }

    private static Answer meaning(String answer) {
        String text = answer.substring(answer.indexOf('\n') + 1).strip();
        String words = text.toLowerCase(Locale.ROOT);
        End end = answer.isEmpty() ? End.CLOSED
                : words.contains("recording ended successfully") ? End.ENDED
                : words.contains("recording has already ended") ? End.ENDED_BEFORE
                : words.contains("unsupported when vm flags") ? End.NOT_RECORDING
                : End.UNKNOWN;
        return new Answer(end, text);
    }

    private static Answer failure(Exception error, boolean connected) {
        String text = String.valueOf(error.getMessage());
        if (connected) {
            return new Answer(End.CLOSED, text); // reset while we wrote or read: the JVM looked at who we are
        }
        if (error instanceof ConnectException || text.contains("refused")) {
            return new Answer(End.STALE, text);
        }
        return new Answer(text.contains("denied") || text.contains("not permitted") ? End.DENIED : End.UNKNOWN, text);
    }
}
