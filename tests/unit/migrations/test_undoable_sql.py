"""What SQL cannot be undone: each statement that loses something is seen, and no other."""

from __future__ import annotations

import pytest

from rollproof.migrations.finding import Finding, Findings, Judgement
from rollproof.migrations.known import Known
from rollproof.migrations.schema_before import Column, SchemaBefore, Table
from rollproof.migrations.sql import lint_sql
from rollproof.migrations.sql_text import Unreadable, statements

USERS = Table(
    columns={
        "id": Column("int", nullable=False),
        "name": Column("varchar(100)", nullable=True, charset="utf8mb4"),
        "password": Column("varchar(60)", nullable=False, charset="utf8mb4"),
        "age": Column("int unsigned", nullable=True),
        "place": Column("varchar(20)", nullable=True, charset="ascii"),
        "number": Column("int", nullable=False, filled=True),
    },
    unique=frozenset({"primary", "ix_name"}),
    charset="utf8mb4",
)
PLAIN = Table(columns={"code": Column("char(2)", nullable=False, charset="ascii")}, charset="ascii")
BEFORE = SchemaBefore(
    {"app.users": USERS, "app.plain": PLAIN, "app.twice": PLAIN, "other.twice": USERS}, "mysql"
)


def found(text: str) -> list[Finding]:
    findings = Findings("m.sql")
    lint_sql(text, findings, Known(BEFORE))
    return findings.found


LOST = {
    "DROP TABLE users": "DROP TABLE users: its records are gone",
    "drop table if exists a, b": "DROP TABLE b",
    "DROP DATABASE app": "DROP DATABASE app",
    "DROP SCHEMA IF EXISTS app": "DROP DATABASE app",
    "ALTER TABLE users DROP COLUMN name": "DROP COLUMN users.name: its values are gone",
    "ALTER TABLE users DROP name, ADD x INT": "DROP COLUMN users.name",
    "ALTER TABLE users DROP PRIMARY KEY": "DROP PRIMARY KEY of users",
    "ALTER TABLE users DROP FOREIGN KEY f": "DROP FOREIGN KEY users.f",
    "ALTER TABLE users DROP CONSTRAINT f": "DROP CONSTRAINT users.f",
    "ALTER TABLE users DROP INDEX ix_name": "it is unique",
    "DROP INDEX ix_name ON users": "it is unique",
    "ALTER TABLE users DROP PARTITION p1": "partitions",
    "ALTER TABLE users TRUNCATE PARTITION p1": "partitions",
    "TRUNCATE users": "TRUNCATE of users",
    "TRUNCATE TABLE app.users": "TRUNCATE of app.users",
    "DELETE FROM users": "DELETE of users without a condition",
    "DELETE FROM users WHERE 1 = 1": "DELETE of users without a condition",
    "DELETE a FROM users a JOIN plain b ON a.name = b.code": "DELETE of a without a condition",
    "WITH x AS (SELECT 1) DELETE FROM users": "DELETE of users without a condition",
    "UPDATE users SET name = ''": "UPDATE of users without a condition",
    "UPDATE users a JOIN plain b ON a.name = b.code SET a.age = 1": "UPDATE of users without a condition",
    "ALTER TABLE users MODIFY name VARCHAR(50)": "from varchar(100) to varchar(50)",
    "ALTER TABLE users MODIFY COLUMN id SMALLINT NOT NULL": "from int to smallint",
    "ALTER TABLE users MODIFY id INT UNSIGNED NOT NULL": "from int to int unsigned",
    "ALTER TABLE users MODIFY age INT": "from int unsigned to int",
    "ALTER TABLE users MODIFY name VARCHAR(100) NOT NULL": "NULL is not allowed any more",
    "ALTER TABLE users MODIFY name VARCHAR(100) CHARACTER SET latin1": "character set latin1 has not all",
    "ALTER TABLE users MODIFY name VARCHAR(100) COLLATE ascii_bin": "character set ascii has not all",
    "ALTER TABLE users MODIFY name VARCHAR(100) UNIQUE": "UNIQUE",
    "ALTER TABLE users MODIFY name INT": "another kind of value",
    "ALTER TABLE users CHANGE name name VARCHAR(9)": "from varchar(100) to varchar(9)",
    "ALTER TABLE users CHANGE name title VARCHAR(100)": "RENAME of column users.name to title",
    "ALTER TABLE users RENAME COLUMN name TO title": "RENAME of column users.name",
    "ALTER TABLE users RENAME TO people": "RENAME of table users",
    "RENAME TABLE users TO people": "RENAME of tables",
    "ALTER TABLE users ALTER COLUMN name DROP DEFAULT": "DROP DEFAULT of users.name",
    "ALTER TABLE users ADD COLUMN x INT NOT NULL": "ADD COLUMN users.x NOT NULL without a default",
    "ALTER TABLE users ADD UNIQUE KEY u (age)": "ADD UNIQUE to users",
    "ALTER TABLE users ADD CONSTRAINT u UNIQUE (age)": "ADD UNIQUE to users",
    "ALTER TABLE users ADD PRIMARY KEY (age)": "ADD PRIMARY KEY to users",
    "ALTER TABLE users ADD CONSTRAINT c CHECK (age > 1)": "ADD CHECK to users",
    "ALTER TABLE users ADD CONSTRAINT f FOREIGN KEY (name) REFERENCES plain (code)": "ADD FOREIGN KEY",
    "CREATE UNIQUE INDEX u ON users (age)": "CREATE UNIQUE INDEX on users",
    "CREATE OR REPLACE TABLE users (a INT)": "CREATE OR REPLACE TABLE users",
    "ALTER TABLE users CONVERT TO CHARACTER SET latin1": "character set latin1 has not all of utf8mb4",
    "/*!40101 DROP TABLE users */": "DROP TABLE users",
    "/*M!100100 DROP TABLE users */": "DROP TABLE users",
}
BY_ANOTHER_NAME = {
    "CREATE TABLE archive.users (a INT); DROP TABLE users": "DROP TABLE users",
    "CREATE TABLE archive.users (a INT); TRUNCATE app.users": "TRUNCATE of app.users",
    "CREATE TABLE archive.users LIKE users; DELETE FROM users": "DELETE of users",
    "USE archive; CREATE TABLE users (a INT); USE app; DROP TABLE users": "DROP TABLE app.users",
    "CREATE TABLE IF NOT EXISTS twice (a INT); DROP TABLE twice": "DROP TABLE twice",
    "CREATE TABLE IF NOT EXISTS Users (a INT); DROP TABLE Users": "DROP TABLE Users",
    "CREATE TABLE IF NOT EXISTS elsewhere.x (a INT); DROP TABLE elsewhere.x": "DROP TABLE elsewhere.x",
    "CREATE TEMPORARY TABLE users (a INT); DROP TEMPORARY TABLE users; DELETE FROM users": "DELETE of users",
    "CREATE TABLE fresh (a INT); DROP TABLE fresh; DROP TABLE fresh": "DROP TABLE fresh",
    "ALTER TABLE users ADD COLUMN IF NOT EXISTS name INT; ALTER TABLE users DROP COLUMN name": "users.name",
    "ALTER TABLE other.users ADD COLUMN x INT; ALTER TABLE app.users DROP COLUMN x": "app.users.x",
    "CREATE TABLE fresh (a INT); DELETE users FROM fresh, users": "DELETE of users",
    "CREATE TABLE fresh (a INT); UPDATE fresh, users SET users.name = ''": "without a condition",
    # Under another delimiter.
    "DELIMITER $$\nSTART TRANSACTION; DROP TABLE users$$\nDELIMITER ;": "DROP TABLE users",
    "DELIMITER //\nSHOW TABLES; DROP TABLE users//": "DROP TABLE users",
    "DELIMITER $$\nLOCK TABLES users WRITE; TRUNCATE users; UNLOCK TABLES$$": "TRUNCATE of users",
    "DELIMITER $$\nGRANT SELECT ON app.* TO r; DROP TABLE users$$": "DROP TABLE users",
    "DELIMITER $$\nDROP PROCEDURE p; DELETE FROM users$$": "DELETE of users",
    "DELIMITER $$\nALTER TABLE users CONVERT TO CHARSET utf8mb4; DROP TABLE users$$": "DROP TABLE users",
    # Values that are computed anew.
    "ALTER TABLE users MODIFY name VARCHAR(100) GENERATED ALWAYS AS ('x') STORED": "GENERATED",
    "ALTER TABLE users MODIFY name VARCHAR(100) AS (UPPER(place))": "GENERATED",
    "ALTER TABLE users CHANGE name name VARCHAR(100) GENERATED ALWAYS AS ('x') VIRTUAL": "GENERATED",
    "ALTER TABLE users MODIFY number INT NOT NULL": "without a default",
    # Conditions that hold for every record.
    "DELETE FROM users WHERE id = id": "without a condition",
    "DELETE FROM users WHERE id <=> id": "without a condition",
    "DELETE FROM users WHERE (id = id) AND 1": "without a condition",
    "DELETE FROM users WHERE id = 1 OR 1 = 1": "without a condition",
    "DELETE FROM users WHERE id = 1 || TRUE": "without a condition",
    "UPDATE users SET name = '' WHERE name >= name": "without a condition",
    "DELETE FROM users ORDER BY id LIMIT 10": "without a condition",
}
UNKNOWN_REACH = (
    "DELETE FROM users WHERE id > 0",
    "DELETE FROM users WHERE id <> 0",
    "DELETE FROM users WHERE NOT (id = 0)",
    "DELETE FROM users WHERE id IS NOT NULL",
    "DELETE FROM users WHERE id",
    "DELETE FROM users WHERE id = id + 0",
    "DELETE FROM users WHERE name LIKE '%'",
    "DELETE FROM users WHERE id IN (SELECT id FROM users)",
    "DELETE FROM users WHERE id NOT IN (1, 2)",
    "DELETE FROM users WHERE EXISTS (SELECT 1)",
    "DELETE FROM users WHERE COALESCE(id, 0) = 0",
    "DELETE FROM users WHERE id = 1 OR id > 1",
    "DELETE FROM users WHERE id = (SELECT 1)",
    "DELETE FROM users WHERE id BETWEEN 0 AND 999999",
    # The server reads a text as a number, mostly 0.
    "DELETE FROM users WHERE name = 0",
    "DELETE FROM users WHERE 0 = password",
    "DELETE FROM users WHERE name IN (0)",
    "DELETE a FROM users a JOIN plain b WHERE b.code = 'x'",
    "DELETE FROM users USING users, plain WHERE plain.code = 'x'",
    "ALTER TABLE users ADD x INT; UPDATE users JOIN plain SET users.x = 1, plain.x = 2 WHERE users.x = 1",
    "INSERT INTO users SELECT * FROM plain ON DUPLICATE KEY UPDATE name = ''",
    "REPLACE INTO users SELECT * FROM plain",
    "REPLACE INTO users TABLE plain",
    "SELECT purge()",
    "SELECT app.purge(1)",
    "SET @x = purge()",
    "INSERT INTO users (id) VALUES (purge())",
    "SET GLOBAL sql_mode = ''",
    "SET PERSIST max_connections = 1",
    "SET @@GLOBAL.read_only = 1",
    "SET PASSWORD FOR a = 'x'",
    "DELETE F",
    "DELETE F G H",
    "DROP TABLES users, plain",
    "SELECT 1\\G DROP TABLE users",
    "SELECT " + "(" * 2_000 + "1" + ")" * 2_000,
    "DELETE FROM users WHERE " + "NOT " * 2_000 + "id",
    "ALTER TABLE users MODIFY name VARCHAR(100) ENCODE zstd",
)
NARROW = (
    "DELETE FROM users WHERE id = -1",
    "DELETE FROM users WHERE id IN (1, 2) AND name LIKE '%'",
    "DELETE FROM users WHERE (name = 'x' OR name = 'y')",
    "DELETE FROM users WHERE id = @x",
    "UPDATE users SET name = '' WHERE age = TRUE",
)
UNJUDGED = (
    "CALL p()",
    "PREPARE s FROM 'DROP TABLE users'",
    "EXECUTE s",
    "LOAD DATA INFILE 'x' INTO TABLE users",
    "SELECT * FROM users INTO OUTFILE 'x'",
    "ALTER TABLE users DISCARD TABLESPACE",
    "ALTER TABLE users EXCHANGE PARTITION p WITH TABLE plain",
    "ALTER TABLE users ENGINE=MyISAM",
    "ALTER TABLE users MODIFY unknown VARCHAR(3)",
    "ALTER TABLE unknown MODIFY name VARCHAR(3)",
    "ALTER TABLE unknown DROP INDEX ix_name",
    "ALTER TABLE unknown CONVERT TO CHARACTER SET utf8mb4",
    # Two databases have one of that name.
    "ALTER TABLE twice MODIFY code CHAR(2)",
    "ALTER TABLE users MODIFY name GEOMETRY",
    "ALTER DATABASE app CHARACTER SET latin1",
    "ALTER VIEW v AS SELECT 1",
    "DROP USER somebody",
    "EXPLAIN ANALYZE DELETE FROM users",
    "BEGIN NOT ATOMIC DELETE FROM users",
    "source other.sql",
    # The text that it quotes ends elsewhere then, and hides a statement.
    "SET sql_mode = 'NO_BACKSLASH_ESCAPES'; SELECT 'a\\'; DROP TABLE users; -- '",
    "nonsense",
    "nonsense of several words",
    "SELECT 'open",
    "SELECT 1 /* open",
    "/*!40101 SELECT 1",
)
NOTED = (
    "ALTER TABLE users DROP INDEX ix_age",
    "DROP INDEX ix_age ON users",
    "DROP VIEW v",
    "DROP PROCEDURE p",
    "DROP TRIGGER IF EXISTS t",
    "CREATE OR REPLACE VIEW v AS SELECT 1",
    "DELETE FROM users WHERE id = 1",
    "DELETE FROM users WHERE id = %s",
    "UPDATE users SET name = %(name)s WHERE id = :id",
    "REPLACE INTO users VALUES (1)",
    "INSERT INTO users (id) VALUES (1) ON DUPLICATE KEY UPDATE age = 1",
    "ALTER TABLE users CONVERT TO CHARACTER SET utf8mb4",
    "ALTER TABLE users ALTER COLUMN name SET DEFAULT 'x'",
    "GRANT SELECT ON app.* TO reader",
)
HARMLESS = (
    "",
    "-- DROP TABLE users",
    "# DROP TABLE users",
    "/* DROP TABLE users; */",
    "SELECT 'DROP TABLE users; -- ', \"DELETE FROM users\", `TRUNCATE` FROM users",
    "START TRANSACTION; COMMIT; BEGIN; COMMIT WORK",
    "USE app; SET NAMES utf8mb4",
    "INSERT INTO users (id) VALUES (1)",
    "CREATE TABLE fresh (a INT NOT NULL UNIQUE)",
    "CREATE TABLE IF NOT EXISTS users (a INT)",
    "CREATE INDEX i ON users (age)",
    "CREATE VIEW v AS SELECT 1",
    "ALTER TABLE users ADD INDEX i (age)",
    "ALTER TABLE users ADD COLUMN x INT",
    "ALTER TABLE users ADD COLUMN x INT NOT NULL DEFAULT 0, LOCK=NONE",
    "ALTER TABLE users ADD COLUMN x INT GENERATED ALWAYS AS (age + 1) STORED",
    "ALTER TABLE users MODIFY name VARCHAR(200)",
    "ALTER TABLE users MODIFY name TEXT",
    "ALTER TABLE users MODIFY id BIGINT NOT NULL",
    "ALTER TABLE users MODIFY place VARCHAR(20) CHARACTER SET utf8mb4",
    "ALTER TABLE users CHANGE name name VARCHAR(100)",
    "ALTER TABLE app.twice MODIFY code CHAR(3) NOT NULL",
    # What it has made itself held nothing before.
    "CREATE TABLE fresh (a INT); ALTER TABLE fresh DROP COLUMN a, ADD UNIQUE KEY u (b); DROP TABLE fresh",
    "CREATE TEMPORARY TABLE t (a INT); DELETE FROM t; TRUNCATE t; CREATE UNIQUE INDEX u ON t (a)",
    "ALTER TABLE users ADD COLUMN x INT; ALTER TABLE users MODIFY x BIGINT, DROP COLUMN x",
)


@pytest.mark.parametrize("text", LOST)
def test_what_cannot_be_undone_is_seen(text: str) -> None:
    lost = [finding for finding in found(text) if finding.judgement is Judgement.LOST]
    assert any(LOST[text] in str(finding) for finding in lost), list(map(str, found(text)))


@pytest.mark.parametrize("text", BY_ANOTHER_NAME)
def test_what_is_lost_by_another_name_is_lost(text: str) -> None:
    lost = [str(finding) for finding in found(text) if finding.judgement is Judgement.LOST]
    assert any(BY_ANOTHER_NAME[text] in finding for finding in lost), list(map(str, found(text)))


@pytest.mark.parametrize("text", UNKNOWN_REACH, ids=lambda text: text[:60])
def test_what_may_reach_everything_is_not_judged(text: str) -> None:
    assert Judgement.UNJUDGED in {finding.judgement for finding in found(text)}, list(map(str, found(text)))


@pytest.mark.parametrize("text", NARROW)
def test_what_names_the_values_it_finds_is_noted(text: str) -> None:
    assert [finding.judgement for finding in found(text)] == [Judgement.NOTED]


@pytest.mark.parametrize("text", UNJUDGED)
def test_what_is_not_known_is_not_taken_for_harmless(text: str) -> None:
    assert Judgement.UNJUDGED in {finding.judgement for finding in found(text)}


@pytest.mark.parametrize("text", NOTED)
def test_what_changes_and_can_be_undone_is_noted(text: str) -> None:
    assert [finding.judgement for finding in found(text)] == [Judgement.NOTED]


@pytest.mark.parametrize("text", HARMLESS)
def test_what_only_adds_is_harmless(text: str) -> None:
    assert list(map(str, found(text))) == []


def test_a_table_that_was_there_is_not_the_migration_s_own() -> None:
    judged = [f.judgement for f in found("CREATE TABLE IF NOT EXISTS users (a INT); DROP TABLE users")]
    assert judged == [Judgement.LOST]


def test_a_column_that_was_added_may_be_filled() -> None:
    text = "ALTER TABLE users ADD COLUMN x INT; UPDATE users SET x = age"
    assert [finding.judgement for finding in found(text)] == [Judgement.NOTED]
    both = "ALTER TABLE users ADD COLUMN x INT; UPDATE users SET x = age, name = ''"
    assert [finding.judgement for finding in found(both)] == [Judgement.LOST]


PROGRAM = """DELIMITER $$
CREATE DEFINER=`root`@`%` PROCEDURE p(IN a INT)
  MODIFIES SQL DATA
BEGIN
  DECLARE done INT DEFAULT 0;
  DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; TRUNCATE log; END;
  SELECT COUNT(*) INTO done FROM users;
  IF a > 1 THEN
    DELETE FROM users;
  ELSEIF a THEN UPDATE users SET age = CASE WHEN a THEN 1 ELSE 2 END;
  ELSE INSERT INTO users (id) VALUES (a);
  END IF;
  again: LOOP
    DROP TABLE users;
    LEAVE again;
  END LOOP;
  WHILE done DO CALL q(); END WHILE;
  CASE done WHEN 1 THEN DELETE FROM users WHERE id = a; END CASE;
END$$
DELIMITER ;
"""


def test_statements_inside_a_stored_program_are_judged_by_their_lines() -> None:
    assert [(finding.line, finding.what, finding.judgement) for finding in found(PROGRAM)] == [
        (6, "TRUNCATE of log", Judgement.LOST),
        (9, "DELETE of users without a condition", Judgement.LOST),
        (10, "UPDATE of users without a condition", Judgement.LOST),
        (14, "DROP TABLE users", Judgement.LOST),
        (17, "CALL q()", Judgement.UNJUDGED),
        (18, "DELETE of users with a condition", Judgement.UNJUDGED),
    ]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("CREATE TRIGGER g AFTER DELETE ON users FOR EACH ROW DELETE FROM log", "DELETE of log"),
        ("CREATE TRIGGER g BEFORE INSERT ON a FOR EACH ROW FOLLOWS h TRUNCATE log", "TRUNCATE of log"),
        ("CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO DROP TABLE old", "DROP TABLE old"),
        ("CREATE FUNCTION f() RETURNS INT BEGIN DELETE FROM log; RETURN 1; END", "DELETE of log"),
        ("CREATE PROCEDURE p() DELETE FROM log", "DELETE of log"),
    ],
)
def test_every_kind_of_program_is_read(text: str, what: str) -> None:
    (lost,) = [finding for finding in found(f"DELIMITER $$\n{text}$$") if finding.judgement is Judgement.LOST]
    assert lost.what.startswith(what)


def test_a_program_that_only_reads_is_harmless() -> None:
    body = "CREATE FUNCTION f(a INT) RETURNS INT DETERMINISTIC RETURN a + 1"
    assert found(body) == []
    assert found("CREATE TRIGGER g BEFORE UPDATE ON users FOR EACH ROW SET NEW.age = 1") == []


def test_programs_in_programs_are_read_as_far_as_a_server_takes_them() -> None:
    event = "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO DROP TABLE users"
    (lost,) = found(f"DELIMITER //\nCREATE PROCEDURE p() BEGIN {event}; END//")
    assert lost.what == "DROP TABLE users"
    (deep,) = found(f"CREATE PROCEDURE p() BEGIN {'CREATE EVENT e DO ' * 2000}")
    assert deep.why == "it is in too many programs to be read"


def test_statements_are_divided_as_the_client_divides_them() -> None:
    text = (
        'SELECT 1;\n\n-- a\nSELECT \';\', "a\\";", `x;y`;\n'
        "DELIMITER //\nSELECT 2; SELECT 3//\nDELIMITER ;\nSELECT 4"
    )
    divided = [(statement.line, statement.text) for statement in statements(text)]
    assert divided == [
        (1, "SELECT 1"),
        (4, 'SELECT \';\', "a\\";", `x;y`'),
        (6, "SELECT 2; SELECT 3"),
        (8, "SELECT 4"),
    ]


def test_a_minus_twice_is_a_comment_only_before_a_space() -> None:
    assert [s.text for s in statements("SELECT 1--1")] == ["SELECT 1--1"]
    assert [s.text for s in statements("SELECT 1-- 1\n")] == ["SELECT 1"]


def test_what_stands_before_an_open_quotation_is_still_yielded() -> None:
    divided = statements("SELECT 1;\nSELECT 'a")
    assert next(divided).text == "SELECT 1"
    with pytest.raises(Unreadable) as unreadable:
        next(divided)
    assert unreadable.value.line == 2


def test_a_long_file_is_read_in_time() -> None:
    rows = ",".join(f"({number}, 'a;b')" for number in range(20_000))
    text = f"INSERT INTO users VALUES {rows};\n"  # noqa: S608 - it is divided, not run
    assert len(list(statements(text * 5))) == 5
