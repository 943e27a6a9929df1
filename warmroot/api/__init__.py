"""The kinds of `warmroot.io/v1alpha1` as pydantic models: the one source of the CRDs and the reference.

`base` has the scalar types, `health` the checks of a node on trial, `os`, `osinstance` and `javacache` the
kinds, `crdgen` writes `crds/`. A field is here only if code acts on it. The proxy does not import this
package (its memory is a promise): it reads and writes the same field names as plain JSON, and a test holds
both together.
"""
