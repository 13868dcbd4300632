"""Rules: when something happens in the results, something is done at the source.

`grammar` reads the sentence of a rule and `fields` says what can be asked; `watch` looks at each result
and fires; `triggering` sends what fired to the source, and keeps what came of it for the record; `server`
is the source's side, which acts.
"""
