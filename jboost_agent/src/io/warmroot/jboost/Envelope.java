package io.warmroot.jboost;

import java.util.Base64;
import java.util.HashMap;
import java.util.Map;

/** A proposal as it came: the bytes of a manifest, and signatures by the name of their key. Not believed yet. */
final class Envelope {
    private static final int MOST_SIGNATURES = 2;

    final byte[] manifest;
    final Map<String, byte[]> signatures = new HashMap<>();

    Envelope(Map<String, Object> tree) throws Json.Odd {
        try {
            manifest = Base64.getDecoder().decode(Json.string(tree.get("manifest"), "manifest"));
        } catch (IllegalArgumentException error) {
            throw new Json.Odd("a manifest that is not base64");
        }
        Map<String, Object> signed = Json.object(tree.get("signatures"), "signatures");
        if (signed.size() > MOST_SIGNATURES) {
            throw new Json.Odd("more than " + MOST_SIGNATURES + " signatures");
        }
        for (Map.Entry<String, Object> one : signed.entrySet()) {
            byte[] signature = Hex.bytes(Json.string(one.getValue(), "a signature"));
            if (signature == null) {
                throw new Json.Odd("a signature that is not hex");
            }
            signatures.put(one.getKey(), signature);
        }
    }
}
