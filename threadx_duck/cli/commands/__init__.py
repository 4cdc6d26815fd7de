"""One module per command, with the command's name; `GROUPS` lists the commands with their short help."""

# The help lists commands in the order of this table. A command's module and function have its name, ``_`` for ``-``.
GROUPS = {
    "Get": {
        "ingest": "Download candles that no conclusive request covers.",
        "follow": "Keep stored symbols up to the last closed minute.",
        "import": "Ingest files lying on disk: archives, tables, other tools'.",
        "symbols": "List the exchange's symbols.",
        "demo": "Show everything on made-up candles, without a network.",
    },
    "Read": {
        "status": "Show what is stored, and what is missing.",
        "candles": "Print or write candles of any timeframe.",
        "query": "Run a read-only SQL statement on the store.",
        "chart": "Draw candles as a page for the browser.",
        "coverage-map": "Draw what is stored, symbols by months, as a page.",
        "ui": "Open the Data Manager in a window.",
    },
    "Prove": {
        "gaps": "List absent minutes, each run with its reason.",
        "check": "Run the consistency checks.",
        "verify": "Compare derived candles with the exchange's own.",
        "explain": "Show where a candle comes from.",
        "revisions": "List what later answers changed.",
        "fingerprint": "Print a hash of the candles' values, by symbol and month.",
        "diff": "List where the candles of another store differ.",
    },
    "Keep": {
        "doctor": "Examine the store, the disk and the way to the exchange.",
        "config": "Show the effective settings and where each comes from.",
        "backup": "Make a verified copy of the store.",
        "compact": "Rewrite the store's file smaller, or tidy a lake.",
        "migrate": "Copy the store to another file or lake, with its evidence.",
        "remove": "Delete a symbol's candles and their evidence.",
    },
    "Share": {
        "export": "Write candles to files of other tools.",
        "publish": "Copy the store for readers, in one step.",
    },
}
COMMANDS = {name: text for group in GROUPS.values() for name, text in group.items()}
