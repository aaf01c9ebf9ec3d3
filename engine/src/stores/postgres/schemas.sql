-- The two schemas. Whoever may not create schemas has them made by somebody who may.
DO $$
BEGIN
    IF to_regnamespace('questlake') IS NULL THEN
        CREATE SCHEMA questlake;
        COMMENT ON SCHEMA questlake IS 'Questlake''s ledger and how far each model is; only Questlake writes here';
    END IF;
    IF to_regnamespace('star') IS NULL THEN
        CREATE SCHEMA star;
        COMMENT ON SCHEMA star IS 'The star schema, loaded by Questlake: dimensions, facts and marts';
    END IF;
END
$$;

CREATE TABLE questlake.installation (
    version      integer     NOT NULL,
    installed_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE questlake.installation IS 'Version of the tables in this schema: one row';
