"""Models: chosen by name (`catalogue`), pinned by digest (`spec`), loaded without running code (`classifier`, `embedder`), run by
`backends`. torch is imported when a torch model is loaded, not before.
"""
