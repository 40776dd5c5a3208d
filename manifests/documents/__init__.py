"""Text or a record in; manifests, or problems that name file, line and key, out. Pure; imports the model.

text ─► yaml_text, toml_text, json_text     by the end of a file's name; each makes `document.Document`s
scalars     numbers as they are spelled, until the model says whether they are text
parse       documents ─► manifests;   explain   pydantic's errors ─► problems for the author
record      a record of a Hypercore database ─► a manifest, and back
"""
