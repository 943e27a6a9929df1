package io.warmroot.jboost;

import java.io.BufferedInputStream;
import java.io.Closeable;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.SocketTimeoutException;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.SSLSocketFactory;

/**
 * One HTTP/1.1 request over a connection of its own. Written on sockets: the JDK's clients cost a cold JVM
 * more than all else that a start of ours does, and none of them ends a read at a moment in time.
 *
 * <p>No read waits past the deadline. Looking up a name and writing have no time limit in Java, so whoever is
 * in a hurry calls from a thread that can be left behind; {@link #close} from another thread ends both.
 */
final class Http implements Closeable {
    private static final int HEAD = 64 * 1024;
    private static final int BLOCK = 64 * 1024;

    private final Deadline deadline;
    /** What is read and written, and the TCP connection below it: closing TLS would wait for whoever writes. */
    private Socket socket;
    private Socket line;
    private InputStream in;
    private boolean closed;

    /** What came back: status, headers by lower-case name, and the body, which ends with the response. */
    static final class Reply {
        final int code;
        final Map<String, String> headers;
        final InputStream body;

        Reply(int code, Map<String, String> headers, InputStream body) {
            this.code = code;
            this.headers = headers;
            this.body = body;
        }

        /** The whole body. IOException if it is longer than {@code most} bytes. */
        byte[] bytes(int most) throws IOException {
            byte[] bytes = body.readNBytes(most + 1);
            if (bytes.length > most) {
                throw new IOException("an answer of more than " + most + " bytes");
            }
            return bytes;
        }
    }

    /** A body of known length; it is sent as it is read. */
    record Body(InputStream bytes, long length, String type) {}

    Http(Deadline deadline) {
        this.deadline = deadline;
    }

    /**
     * Sends a request and reads the head of its answer.
     *
     * @param token shown to this address as a bearer token; null for none
     * @param body null for none
     */
    Reply send(String method, URI uri, String token, Body body) throws IOException {
        connect(uri);
        StringBuilder head = new StringBuilder(1024).append(method).append(' ').append(target(uri))
                .append(" HTTP/1.1\r\nHost: ").append(uri.getRawAuthority())
                .append("\r\nConnection: close\r\nAccept-Encoding: identity\r\nUser-Agent: warmroot-jboost\r\n");
        if (token != null) {
            head.append("Authorization: Bearer ").append(token).append("\r\n");
        }
        if (body != null) {
            head.append("Content-Type: ").append(body.type)
                    .append("\r\nContent-Length: ").append(body.length).append("\r\n");
        }
        OutputStream out = socket.getOutputStream();
        out.write(head.append("\r\n").toString().getBytes(StandardCharsets.ISO_8859_1));
        IOException cut = null;
        try {
            if (body != null) {
                copy(body, out);
            }
            out.flush();
        } catch (SocketTimeoutException late) {
            throw late;
        } catch (IOException error) {
            cut = error; // whoever refuses a body may say so and hang up before it has come whole
        }
        String status;
        try {
            status = line();
        } catch (IOException silent) {
            throw cut != null ? cut : silent;
        }
        while (status.startsWith("HTTP/1.1 1")) { // 100 and 103 stand before the answer
            headers();
            status = line();
        }
        int code = code(status);
        Map<String, String> headers = headers();
        return new Reply(code, headers, body(code, headers));
    }

    private static String target(URI uri) throws IOException {
        if (uri.getRawUserInfo() != null) {
            throw new IOException("an address with a password in it");
        }
        String path = uri.getRawPath() == null || uri.getRawPath().isEmpty() ? "/" : uri.getRawPath();
        return uri.getRawQuery() == null ? path : path + "?" + uri.getRawQuery();
    }

    private void connect(URI uri) throws IOException {
        boolean secure = "https".equals(uri.getScheme());
        if (uri.getHost() == null || !secure && !"http".equals(uri.getScheme())) {
            throw new IOException("not an address of http or https: " + uri);
        }
        int port = port(uri);
        Socket plain = new Socket();
        keep(plain);
        plain.connect(new InetSocketAddress(uri.getHost(), port), left());
        plain.setTcpNoDelay(true);
        if (secure) {
            plain.setSoTimeout(left());
            SSLSocketFactory factory = (SSLSocketFactory) SSLSocketFactory.getDefault();
            SSLSocket tls = (SSLSocket) factory.createSocket(plain, uri.getHost(), port, true);
            socket = tls;
            SSLParameters parameters = tls.getSSLParameters();
            parameters.setEndpointIdentificationAlgorithm("HTTPS");
            tls.setSSLParameters(parameters);
            tls.startHandshake();
        }
        in = new BufferedInputStream(new Timed(), BLOCK);
    }

    /** The port of an address of http or https. */
    static int port(URI uri) {
        return uri.getPort() >= 0 ? uri.getPort() : "https".equals(uri.getScheme()) ? 443 : 80;
    }

    private synchronized void keep(Socket made) throws IOException {
        socket = made;
        line = made;
        if (closed) {
            made.close();
            throw new IOException("no time left");
        }
    }

    private int left() throws SocketTimeoutException {
        long left = deadline.left();
        if (left <= 0) {
            throw new SocketTimeoutException("no time left");
        }
        return (int) Math.min(left, Integer.MAX_VALUE);
    }

    private void copy(Body body, OutputStream out) throws IOException {
        byte[] block = new byte[(int) Math.min(BLOCK, Math.max(1, body.length))];
        long rest = body.length;
        while (rest > 0) {
            int count = body.bytes.read(block, 0, (int) Math.min(block.length, rest));
            if (count < 0) {
                throw new EOFException("the file to send got shorter");
            }
            left();
            out.write(block, 0, count);
            rest -= count;
        }
    }

    private static int code(String status) throws IOException {
        if (status.startsWith("HTTP/1.") && status.length() >= 12 && status.charAt(8) == ' ') {
            int code = 0;
            for (int index = 9; index < 12; index++) {
                code = code * 10 + Character.digit(status.charAt(index), 10);
            }
            if (code >= 200 && code <= 599) {
                return code;
            }
        }
        throw new IOException("the answer is not HTTP");
    }

    private Map<String, String> headers() throws IOException {
        Map<String, String> headers = new HashMap<>();
        int length = 0;
        for (String line = line(); !line.isEmpty(); line = line()) {
            length += line.length();
            int colon = line.indexOf(':');
            if (colon <= 0 || length > HEAD) {
                throw new IOException("the answer is not HTTP");
            }
            headers.put(line.substring(0, colon).toLowerCase(Locale.ROOT), line.substring(colon + 1).strip());
        }
        return headers;
    }

    private String line() throws IOException {
        StringBuilder line = new StringBuilder(80);
        for (int c = in.read(); c != '\n'; c = in.read()) {
            if (c < 0 || line.length() > HEAD) {
                throw new IOException(c < 0 ? "the answer ends in its head" : "the answer is not HTTP");
            }
            line.append((char) c);
        }
        int length = line.length();
        if (length > 0 && line.charAt(length - 1) == '\r') {
            line.setLength(length - 1);
        }
        return line.toString();
    }

    private InputStream body(int code, Map<String, String> headers) throws IOException {
        String encoding = headers.get("content-encoding");
        if (encoding != null && !encoding.equalsIgnoreCase("identity")) {
            throw new IOException("an answer in encoding " + encoding + ", which was not asked for");
        }
        if (code == 204 || code == 304) {
            return InputStream.nullInputStream();
        }
        String transfer = headers.get("transfer-encoding");
        if (transfer != null) {
            if (!transfer.equalsIgnoreCase("chunked")) {
                throw new IOException("an answer in transfer encoding " + transfer);
            }
            return new Chunked();
        }
        String length = headers.get("content-length");
        try {
            return length == null ? in : new Counted(Long.parseLong(length));
        } catch (NumberFormatException error) {
            throw new IOException("the answer is not HTTP");
        }
    }

    @Override
    public synchronized void close() {
        closed = true;
        try {
            if (line != null) {
                line.close();
            }
        } catch (IOException gone) {
            closed = true; // nothing is lost: whatever was read is checked by its digest
        }
    }

    /** What comes from the socket. Each read gets the time that is left. */
    private final class Timed extends InputStream {
        private final InputStream raw = socket.getInputStream();

        Timed() throws IOException {
            super();
        }

        @Override
        public int read() throws IOException {
            throw new IOException("read in blocks"); // the buffer above does
        }

        @Override
        public int read(byte[] block, int offset, int length) throws IOException {
            socket.setSoTimeout(left());
            return raw.read(block, offset, length);
        }
    }

    /** A body of this many bytes. One that ends before is an error, not a short body. */
    private final class Counted extends InputStream {
        private long rest;

        Counted(long length) {
            rest = length;
        }

        @Override
        public int read() throws IOException {
            byte[] one = new byte[1];
            return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
        }

        @Override
        public int read(byte[] block, int offset, int length) throws IOException {
            if (rest <= 0 || length == 0) {
                return length == 0 ? 0 : -1;
            }
            int count = in.read(block, offset, (int) Math.min(length, rest));
            if (count < 0) {
                throw new EOFException("the answer ends " + rest + " bytes before its end");
            }
            rest -= count;
            return count;
        }
    }

    /** A body in chunks. */
    private final class Chunked extends InputStream {
        private long rest;
        private boolean begun;
        private boolean ended;

        @Override
        public int read() throws IOException {
            byte[] one = new byte[1];
            return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
        }

        @Override
        public int read(byte[] block, int offset, int length) throws IOException {
            if (rest == 0 && !ended && length > 0) {
                next();
            }
            if (ended || length == 0) {
                return length == 0 ? 0 : -1;
            }
            int count = in.read(block, offset, (int) Math.min(length, rest));
            if (count < 0) {
                throw new EOFException("the answer ends in a chunk");
            }
            rest -= count;
            return count;
        }

        private void next() throws IOException {
            if (begun && !line().isEmpty()) {
                throw new IOException("the answer is not HTTP");
            }
            begun = true;
            String size = line();
            int end = size.indexOf(';');
            try {
                rest = Long.parseLong((end < 0 ? size : size.substring(0, end)).strip(), 16);
            } catch (NumberFormatException error) {
                throw new IOException("the answer is not HTTP");
            }
            if (rest == 0) {
                ended = true;
                headers();
            } else if (rest < 0) {
                throw new IOException("the answer is not HTTP");
            }
        }
    }
}
