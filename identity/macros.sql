-- Normalising and comparing, once for every room. Loaded into the working database of a run.

-- Lower case, letters only, no accents; ü, ue and u are one letter, whoever typed it.
create or replace macro fold_letters(x) as
  strip_accents(translate(
    replace(replace(replace(replace(lower(nfc_normalize(x)), 'ß', 'ss'), 'æ', 'a'), 'œ', 'o'), 'þ', 'th'),
    'øłđðı', 'olddi'));

create or replace macro fold_umlauts(x) as
  replace(replace(replace(x, 'ae', 'a'), 'oe', 'o'), 'ue', 'u');

create or replace macro fold_name(x) as
  nullif(trim(regexp_replace(
    regexp_replace(fold_umlauts(fold_letters(x)), '[''’`´]', '', 'g'),
    '[^\p{L}]+', ' ', 'g')), '');

-- "12 Main Street, Apt 4" and "12 main st. #4" are one street.
create or replace macro fold_street(x) as
  nullif(trim(regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(
    regexp_replace(regexp_replace(regexp_replace(
      ' ' || regexp_replace(fold_umlauts(fold_letters(x)), '[^\p{L}0-9]+', ' ', 'g') || ' ',
      'stra(ss|s)e ', 'str ', 'g'),
      ' (street|saint) ', ' st ', 'g'),
      ' avenu ', ' ave ', 'g'),
      ' (road) ', ' rd ', 'g'),
      ' (drive) ', ' dr ', 'g'),
      ' (lane) ', ' ln ', 'g'),
      ' (court) ', ' ct ', 'g'),
      ' (boulevard|bld) ', ' blvd ', 'g')), '');

-- ZIP+4 and lost leading zeros; letters and digits only.
create or replace macro fold_postcode(x, country) as (
  case
    when x is null then null
    when coalesce(country, 'US') = 'US' and regexp_full_match(trim(x), '\d{5}[- ]?\d{4}') then left(trim(x), 5)
    when coalesce(country, 'US') in ('US', 'DE', 'FR', 'ES', 'IT') and regexp_full_match(trim(x), '\d{3,4}') then lpad(trim(x), 5, '0')
    else nullif(regexp_replace(upper(x), '[^A-Z0-9]', '', 'g'), '')
  end);

-- Any other text that is compared as it is.
create or replace macro fold_text(x) as
  nullif(trim(regexp_replace(fold_letters(x), '[^\p{L}0-9]+', ' ', 'g')), '');

-- How a name sounds, roughly: its first letter and the next three consonants, none twice in a row.
create or replace macro name_code(x) as
  x[1] || left(regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(
    x[2:], '[aeiouyhw ]+', '', 'g'), '[ckqgj]+', 'k', 'g'), '[bpfv]+', 'p', 'g'), '[szx]+', 's', 'g'),
    '[dt]+', 't', 'g'), '[mn]+', 'n', 'g'), 3);

create or replace macro fold_sex(x) as (
  case
    when lower(trim(x)) in ('m', 'male', 'man', 'masculine', 'homme', 'mann', 'männlich', 'hombre', 'h') then 'm'
    when lower(trim(x)) in ('f', 'female', 'woman', 'feminine', 'femme', 'frau', 'weiblich', 'mujer', 'w') then 'f'
  end);

-- How two values agree: the words that rules.yml uses in `when`.
-- Νίκος and Nikos may well be one: a name in another script that does not read alike says nothing.
create or replace macro other_script(a, b) as
  regexp_matches(a, '[a-z]') <> regexp_matches(b, '[a-z]');

create or replace macro reads_alike(a_names, b_names) as
  len(list_filter(a_names, lambda x: len(list_filter(b_names, lambda y:
    jaro_winkler_similarity(x, y) >= 0.85)) > 0)) > 0;

create or replace macro agree_first_name(a, a_names, a_is_name, b, b_names, b_is_name) as (
  case
    when a is null or b is null then 'missing'
    when a = b then 'exact'
    when other_script(a, b) then case when reads_alike(a_names, b_names) then 'typo' else 'missing' end
    -- "W." is Bill's initial too
    when length(a) = 1 then
      case when len(list_filter(b_names, lambda n: n[1] = a)) > 0 then 'initial' else 'different' end
    when length(b) = 1 then
      case when len(list_filter(a_names, lambda n: n[1] = b)) > 0 then 'initial' else 'different' end
    when list_has_any(a_names, b_names) then 'nickname'
    -- Maria and Marie, Mark and Marsha: two names that everybody knows are not one with a slip
    when a_is_name and b_is_name then
      case when jaro_winkler_similarity(a, b) >= 0.85 then 'unclear' else 'different' end
    when least(length(a), length(b)) >= 3 and (starts_with(a, b) or starts_with(b, a)) then 'nickname'
    when jaro_winkler_similarity(a, b) >= 0.9 or (least(length(a), length(b)) >= 3 and damerau_levenshtein(a, b) <= 1)
      or (least(length(a), length(b)) >= 6 and damerau_levenshtein(a, b) <= 2) then 'typo'
    -- too much alike to be surely another name, too little to be surely the same
    when jaro_winkler_similarity(a, b) >= 0.8
      or (least(length(a), length(b)) >= 4 and damerau_levenshtein(a, b) <= 2) then 'unclear'
    else 'different'
  end);

create or replace macro agree_last_name(a, a_names, b, b_names) as (
  case
    when a is null or b is null then 'missing'
    when a = b then 'exact'
    when other_script(a, b) then case when reads_alike(a_names, b_names) then 'typo' else 'missing' end
    when jaro_winkler_similarity(a, b) >= 0.9 or (least(length(a), length(b)) >= 3 and damerau_levenshtein(a, b) <= 1)
      or (least(length(a), length(b)) >= 6 and damerau_levenshtein(a, b) <= 2)
      or ((contains(a, ' ') or contains(b, ' ')) and list_has_any(string_split(a, ' '), string_split(b, ' '))) then 'typo'
    else 'different'
  end);

-- of YYYYMMDD as text; `near` is two slips, or one part that is wholly other
create or replace macro agree_birth_date(a, b) as (
  case
    when a is null or b is null then 'missing'
    when a = b then 'exact'
    when a[1:4] = b[1:4] and a[5:6] = b[7:8] and a[7:8] = b[5:6] then 'swapped'
    when damerau_levenshtein(a, b) <= 1 then 'typo'
    when damerau_levenshtein(a, b) <= 2
      or (a[1:4] = b[1:4])::int + (a[5:6] = b[5:6])::int + (a[7:8] = b[7:8])::int = 2 then 'near'
    else 'different'
  end);

-- "Muller William" beside "Bill Muller" or "W Muller": given and family name in each other's place.
create or replace macro are_swapped(a_first, a_firsts, a_last, b_first, b_firsts, b_last) as
  coalesce(a_first <> a_last and (
    a_last = b_first and (list_contains(a_firsts, b_last) or (length(a_first) = 1 and b_last[1] = a_first))
    or b_last = a_first and (list_contains(b_firsts, a_last) or (length(b_first) = 1 and a_last[1] = b_first))
    or least(length(a_first), length(a_last), length(b_first), length(b_last)) >= 3
      and jaro_winkler_similarity(a_first, b_last) >= 0.88 and jaro_winkler_similarity(a_last, b_first) >= 0.88
      and jaro_winkler_similarity(a_first, b_first) < 0.8
  ), false);
