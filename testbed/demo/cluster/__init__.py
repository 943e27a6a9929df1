"""`testbed demo --only cluster`: one JavaCache on a cluster with real kubelets, until its pods start warm."""
