"""Databases that are hard to restore, queries that prove their restore, and ways to damage them."""

CONTENT = r"""
ALTER DATABASE scratch_first CHARACTER SET latin1 COLLATE latin1_german1_ci;
USE scratch_first;
CREATE TABLE parent (
  id int PRIMARY KEY AUTO_INCREMENT,
  name varchar(50) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
  small float, large double, bytes blob, bits bit(5), json json, at timestamp(3) NULL, choice enum('a','b'),
  length int GENERATED ALWAYS AS (length(name)) STORED,
  KEY by_name (name(10)), CONSTRAINT not_seven CHECK (large <> 7)
) AUTO_INCREMENT = 500 COMMENT 'it''s; a
line';
CREATE TABLE child (
  id int PRIMARY KEY, parent int, CONSTRAINT of_parent FOREIGN KEY (parent) REFERENCES parent (id)
);
CREATE TABLE `od``d; näme%s` (`a``b` int);
CREATE TABLE measured (
  place varchar(9), at datetime, value float, changed timestamp(6) DEFAULT now(6) ON UPDATE now(6),
  PRIMARY KEY (place, at)
);
INSERT INTO parent (name, small, large, bytes, bits, json, at, choice) VALUES
  ('a;b(''"\\\n)', 1.5, 0.1e0 + 0.2e0, x'00ff27', b'10101', '{"a":[1,2.50]}', '2024-01-01 00:00:00.123', 'b'),
  (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
  ('INSERT INTO `parent` VALUES (1),(2)', 0.1, 1e300, '', '', 'null', NULL, 'a');
INSERT INTO child VALUES (1, 500), (2, 501);
INSERT INTO `od``d; näme%s` VALUES (1), (1), (NULL);
INSERT INTO measured (place, at, value) VALUES ('it''s', '2024-01-01', 1234567.875), ('ü', '2024-01-01', 0.1),
  ('x', '2024-01-02', 3.40281e38);
CREATE VIEW seen AS SELECT id, concat(name, 'x') AS name FROM parent;
CREATE VIEW seen_again AS SELECT * FROM seen;
DELIMITER ;;
CREATE TRIGGER watch BEFORE INSERT ON child FOR EACH ROW BEGIN
INSERT INTO `od``d; näme%s` VALUES (1);
END;;
CREATE PROCEDURE twin (IN x int) COMMENT 'same name' BEGIN
INSERT INTO `parent` VALUES (1),(2);
SELECT x; END;;
CREATE FUNCTION twin (x int) RETURNS int DETERMINISTIC RETURN x + 1;;
CREATE EVENT clean ON SCHEDULE EVERY 1 DAY DO BEGIN DELETE FROM child WHERE id < 0; END;;
DELIMITER ;
USE scratch_second;
CREATE TABLE alone (id int PRIMARY KEY, text text);
INSERT INTO alone VALUES (1, repeat('long (and) ''quoted'' ', 3000));
"""
# Every definition as the server words it, and every value at full precision.
QUERIES = (
    *(
        f"SHOW CREATE {what}"
        for what in (
            "TABLE scratch_first.parent",
            "TABLE scratch_first.child",
            "TABLE scratch_first.`od``d; näme%s`",
            "TABLE scratch_first.measured",
            "TABLE scratch_second.alone",
            "VIEW scratch_first.seen",
            "VIEW scratch_first.seen_again",
            "VIEW scratch_first.late",
            "PROCEDURE scratch_first.twin",
            "FUNCTION scratch_first.twin",
        )
    ),
    "SHOW FULL TABLES FROM scratch_first",
    "SHOW FULL TABLES FROM scratch_second",
    "SELECT *, large + 0.0e0, hex(name), hex(bytes), bits + 0 FROM scratch_first.parent ORDER BY 1",
    "SELECT * FROM scratch_first.child ORDER BY 1",
    "SELECT * FROM scratch_first.`od``d; näme%s` ORDER BY 1",
    "SELECT place, at, value + 0.0e0, changed FROM scratch_first.measured ORDER BY 1",
    "SELECT * FROM scratch_second.alone",
    "SELECT * FROM information_schema.schemata WHERE schema_name LIKE 'scratch%' ORDER BY 2",
    "SELECT * FROM information_schema.referential_constraints WHERE constraint_schema LIKE 'scratch%'",
    (
        "SELECT trigger_name, action_timing, trim(action_statement), sql_mode, definer"
        " FROM information_schema.triggers WHERE trigger_schema LIKE 'scratch%'"
    ),
    (
        "SELECT event_name, trim(event_definition), status, starts, definer"
        " FROM information_schema.events WHERE event_schema LIKE 'scratch%'"
    ),
)
DAMAGE = {
    "rows deleted": "DELETE FROM scratch_first.child WHERE id = 1",
    "a row added": "INSERT INTO scratch_first.child VALUES (3, NULL)",
    "one value changed": "UPDATE scratch_first.parent SET choice = 'a' WHERE id = 500",
    "trailing space": "UPDATE scratch_first.parent SET name = concat(name, ' ') WHERE id = 502",
    "less precision": "UPDATE scratch_first.measured SET changed = changed, value = 1234570 WHERE value > 9",
    "a column dropped": "ALTER TABLE scratch_first.parent DROP COLUMN choice",
    "an index dropped": "ALTER TABLE scratch_first.parent DROP KEY by_name",
    "a foreign key dropped": "ALTER TABLE scratch_first.child DROP FOREIGN KEY of_parent",
    "a check dropped": "ALTER TABLE scratch_first.parent DROP CONSTRAINT not_seven",
    "another collation": "ALTER TABLE scratch_first.parent MODIFY name varchar(50) CHARACTER SET utf8mb4",
    "another default": "ALTER DATABASE scratch_first CHARACTER SET utf8mb4",
    "a view dropped": "DROP VIEW scratch_first.seen",
    "a view added": "CREATE VIEW scratch_first.late AS SELECT 1 AS one",
    "a trigger dropped": "DROP TRIGGER scratch_first.watch",
    "a procedure dropped": "DROP PROCEDURE scratch_first.twin",
    "a function dropped": "DROP FUNCTION scratch_first.twin",
    "an event dropped": "DROP EVENT scratch_first.clean",
    "a table renamed": "RENAME TABLE scratch_second.alone TO scratch_second.other",
    "a database dropped": "DROP DATABASE scratch_second",
}
