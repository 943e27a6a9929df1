"""The demo: a whole rollout on one machine, and a broken one that is taken back.

`bed` brings everything up and ends it, `releases` what is rolled out, `objects` what is applied, `scene` what
the cluster says from moment to moment, `view` one node of it, `timeline` when which node took which step,
`verdict` whether the outcome is the claimed one, by cluster objects and disk bytes, `story` the acts,
`reporter` how they are shown.
"""
