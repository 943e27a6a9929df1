"""What the controller of JavaCaches decides: which builders to make, and what to say. Pure.

`world` has what was seen, `parse` reads it from objects of the API and answers of the cache service, `shape`
takes from a pod what a builder has to be made of, `builder` makes the Job, `queue` says which build is next,
`render` makes the status, `plan` puts a pass together. Archives and leases are the cache service's affair.
"""
