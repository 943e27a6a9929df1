"""The webhook that adds the pod agent to pods: a process of its own, which knows no archive and no tenant.

What is added is decided in `jboost_server/core/injection`. Here are the server (`app`, `main`), the
JavaCaches that it has seen (`watching`), its certificates (`certificates` makes them, `keeping` keeps them in
a Secret and tells the API server), and the same decision without a cluster (`dryrun`).
"""
