"""The Common Expression Language, as custom resources and admission policies use it.

    environment   `Environment(variables)` compiles; a `Program` evaluates within limits
    declared      what a value may be, as far as a schema says: the checker's types and the estimator's sizes
    typecheck     compiles against declared types, so that a misspelt field is found when a rule is written
    cost          how much work an expression may be, before it is ever run
    library       Kubernetes' own functions: quantities, addresses, URLs, regular expressions, versions, lists

The language itself is cel-expr-python: Google's C++ implementation. Importing any module here loads 10 MB; whoever may
never meet an expression imports it when the first one comes.
"""
