"""The reports of the studies, each made from result files alone.

`outcomes` reads the comparison of the family and concludes; `family` shows it, `advice` says what follows, `claims`
tests earlier claims on it, and `reruns` shows a part of its grids. Each other module has tables of its study, and some
have ``draw``, which writes pictures, and ``claims``, which yields each `Claim`. May import from `lib`, and from
`studies` what was tried and the functions that made a choice; nothing here trains.
"""
