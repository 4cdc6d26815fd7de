"""Apache Superset without a server: registers the database, makes a dataset, and runs a chart's query."""

import os
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from reading import CANDLES, DATABASE, patiently, report

folder = Path(tempfile.mkdtemp())
(folder / "superset_config.py").write_text(
    f'SECRET_KEY = "of a test, never served"\nSQLALCHEMY_DATABASE_URI = "sqlite:///{folder}/superset.db"\n'
)
os.environ["SUPERSET_CONFIG_PATH"] = str(folder / "superset_config.py")
superset = str(Path(sys.executable).with_name("superset"))
subprocess.run([superset, "db", "upgrade"], check=True, capture_output=True)

from superset.app import create_app  # noqa: E402

with create_app().app_context():
    from superset import db
    from superset.connectors.sqla.models import SqlaTable
    from superset.models.core import Database
    from superset.sql.parse import Table

    database = Database(database_name="candles", sqlalchemy_uri=f"duckdb:///{DATABASE}?access_mode=read_only")
    db.session.add(database)
    db.session.commit()

    def read():
        tables = [name for name, *_ in database.get_all_table_names_in_schema(None, "main")]
        views = [name for name, *_ in database.get_all_view_names_in_schema(None, "main")]
        hours = Table("candles_1h", "main")
        comments = [database.get_table_comment(Table("candles_1m", "main"))]
        comments += [column.get("comment") for column in database.get_columns(hours)]
        return tables, views, database.get_df(CANDLES), [text for text in comments if text]

    tables, views, frame, comments = patiently(read)

    def chart():
        # What an attempt that met the lock has left would be a second dataset of the same name.
        db.session.rollback()
        dataset = SqlaTable(table_name="candles_1h", schema="main", database=database)
        db.session.add(dataset)
        dataset.fetch_metadata()
        result = dataset.query(
            {
                "granularity": "open_time",
                "from_dttm": None,
                "to_dttm": None,
                "columns": ["symbol"],
                "groupby": ["symbol"],
                "metrics": [
                    {"expressionType": "SQL", "sqlExpression": "max(high)", "label": "highest"},
                    {"expressionType": "SQL", "sqlExpression": "count(*)", "label": "candles"},
                ],
                "orderby": [],
                "filter": [],
                "is_timeseries": False,
                "row_limit": 100,
                "extras": {},
            }
        )
        assert result.error_message is None, result.error_message
        return result.df

    charted = patiently(chart)
    assert len(charted) == len(frame), charted
    report(
        set(tables) - set(views),
        views,
        charted[["symbol", "candles"]].itertuples(index=False, name=None),
        comments=comments,
        version=f"apache-superset {version('apache-superset')}, duckdb-engine {version('duckdb-engine')}",
    )
