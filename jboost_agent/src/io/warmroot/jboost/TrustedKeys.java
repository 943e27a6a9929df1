package io.warmroot.jboost;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.security.PublicKey;
import java.security.Signature;
import java.security.SignatureException;
import java.security.spec.X509EncodedKeySpec;
import java.util.Arrays;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.Map;

/** The public keys that this pod believes: one, or two while keys rotate. */
final class TrustedKeys {
    private static final byte[] CONTEXT = "warmroot archive manifest 1\n".getBytes(StandardCharsets.US_ASCII);
    /** What stands before a raw Ed25519 key in its X.509 form (RFC 8410). */
    private static final byte[] X509 = {0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0};
    private static final int RAW = 32;
    private static final int MOST = 2;
    private static final int ID = 16;

    private final Path file;
    private final FileNotes notes;
    private byte[] text;
    private final Map<String, PublicKey> keys = new LinkedHashMap<>();

    /** The keys in a file: each raw, in base64, on a line of its own. {@code notes}: what was verified before. */
    TrustedKeys(Path file, FileNotes notes) {
        this.file = file;
        this.notes = notes;
    }

    /**
     * Reads the keys, and has Java load what verifying takes, which is much.
     *
     * @throws Refusal there are not one or two keys in the file, or this runtime can't verify
     */
    void load() throws Refusal {
        if (!keys.isEmpty()) {
            return;
        }
        try {
            for (String line : new String(text(), StandardCharsets.US_ASCII).split("\n")) {
                if (!line.isBlank()) {
                    add(Base64.getDecoder().decode(line.strip()));
                }
            }
            for (PublicKey key : keys.values()) {
                Signature.getInstance("Ed25519").initVerify(key);
            }
        } catch (NoSuchAlgorithmException error) {
            throw refused("this runtime can't verify Ed25519; it lacks the module jdk.crypto.ec");
        } catch (GeneralSecurityException | IllegalArgumentException error) {
            throw refused(file + " holds a line that is no Ed25519 public key in base64");
        }
        if (keys.isEmpty() || keys.size() > MOST) {
            throw refused(file + " has not 1 to " + MOST + " keys");
        }
    }

    private byte[] text() throws Refusal {
        try {
            text = text == null ? Files.readAllBytes(file) : text;
            return text;
        } catch (IOException error) {
            throw refused("the keys " + file + " can't be read");
        }
    }

    private void add(byte[] raw) throws GeneralSecurityException {
        if (raw.length != RAW) {
            throw new IllegalArgumentException("no key");
        }
        byte[] encoded = Arrays.copyOf(X509, X509.length + RAW);
        System.arraycopy(raw, 0, encoded, X509.length, RAW);
        PublicKey key = KeyFactory.getInstance("Ed25519").generatePublic(new X509EncodedKeySpec(encoded));
        keys.put(Hex.of(Hashing.of(raw)).substring(0, ID), key);
    }

    /** The manifest's bytes, now that one of the keys has signed them. */
    byte[] verified(Envelope envelope) throws Refusal {
        String name = name(envelope.manifest);
        if (notes.isSigned(name)) {
            return envelope.manifest;
        }
        load();
        for (Map.Entry<String, PublicKey> key : keys.entrySet()) {
            byte[] signature = envelope.signatures.get(key.getKey());
            if (signature != null && signed(key.getValue(), envelope.manifest, signature)) {
                notes.sign(name);
                return envelope.manifest;
            }
        }
        throw refused("no trusted key (" + String.join(", ", keys.keySet()) + ") has signed the archive's manifest");
    }

    /** A name for these very bytes under these very keys. */
    private String name(byte[] manifest) throws Refusal {
        MessageDigest digest = Hashing.sha256();
        digest.update(Hashing.of(text()));
        digest.update(manifest);
        return Hex.of(digest.digest());
    }

    private static boolean signed(PublicKey key, byte[] manifest, byte[] bytes) {
        try {
            Signature signature = Signature.getInstance("Ed25519");
            signature.initVerify(key);
            signature.update(CONTEXT);
            signature.update(manifest);
            return signature.verify(bytes);
        } catch (SignatureException odd) {
            return false; // not even the shape of a signature
        } catch (GeneralSecurityException error) {
            throw new IllegalStateException(error); // it went well when the keys were read
        }
    }

    private static Refusal refused(String why) {
        return new Refusal(Outcome.SIGNATURE, why);
    }
}
