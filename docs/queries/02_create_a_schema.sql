-- The analyst reads silver and gold and changes nothing there. `sandbox` is
-- owned by the analyst, and so is every schema whose name begins with `sandbox_`.
create schema if not exists sandbox_credit
with (location = 's3://gold/_sandbox_credit/');

show schemas like 'sandbox%';
