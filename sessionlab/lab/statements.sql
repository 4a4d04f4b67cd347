-- What every source's statements find in `raw`, beside its tables and raw.file_id().

-- JSON with halves of characters, which no Unicode text can hold and which the parser refuses as a whole: the same with
-- replacement characters in their places; NULL where there are none. Escaped backslashes and whole pairs are put aside
-- behind control characters, which no JSON holds, and what is left of surrogates is replaced.
create macro raw.mended(text) as
    case when contains(lower(text), '\ud') and not regexp_matches(text, '[\x01\x02]') then
        replace(replace(
            regexp_replace(
                regexp_replace(
                    replace(text, '\\', chr(1)),
                    '\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})',
                    chr(2) || '\1' || chr(2) || '\2', 'g'),
                '\\u[dD][89a-fA-F][0-9a-fA-F]{2}', '\\ufffd', 'g'),
            chr(2), '\u'), chr(1), '\\')
    end;
