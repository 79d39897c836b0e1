"""Models: chosen by name (`catalogue`), pinned by digest (`spec`), loaded without running their code (`classifier`,
`embedder`), run by `backends`. torch is imported only when a torch model is loaded.
"""
