-- The source system's table. Its CHECKs are loose on purpose: a business value
-- that is odd (an age of 144) is accepted here and rejected by the lake's rules.
-- The schema is the session's search_path.
CREATE TABLE IF NOT EXISTS loan_applications (
    application_id                 bigint        PRIMARY KEY,
    person_age                     integer       NOT NULL CHECK (person_age >= 0),
    person_gender                  text          NOT NULL,
    person_education               text          NOT NULL,
    person_income                  numeric(12,2) NOT NULL CHECK (person_income >= 0),
    person_emp_exp                 integer       NOT NULL CHECK (person_emp_exp >= 0),
    person_home_ownership          text          NOT NULL,
    loan_amnt                      numeric(12,2) NOT NULL CHECK (loan_amnt >= 0),
    loan_intent                    text          NOT NULL,
    loan_int_rate                  numeric(5,2)  NOT NULL CHECK (loan_int_rate >= 0),
    loan_percent_income            numeric(5,2)  NOT NULL CHECK (loan_percent_income >= 0),
    cb_person_cred_hist_length     integer       NOT NULL CHECK (cb_person_cred_hist_length >= 0),
    credit_score                   integer       NOT NULL CHECK (credit_score >= 0),
    previous_loan_defaults_on_file text          NOT NULL,
    loan_status                    smallint      NOT NULL CHECK (loan_status IN (0, 1)),
    created_at                     timestamptz   NOT NULL DEFAULT now(),
    updated_at                     timestamptz   NOT NULL DEFAULT now()
);

-- Earlier versions let in Yes and No only; now a rule of the lake decides, as for every category.
ALTER TABLE loan_applications
    DROP CONSTRAINT IF EXISTS loan_applications_previous_loan_defaults_on_file_check;

-- An incremental batch reads what changed since its cursor by this index.
CREATE INDEX IF NOT EXISTS loan_applications_updated_at_idx
    ON loan_applications (updated_at);
