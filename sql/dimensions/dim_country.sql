-- One row per country that events came from.
--
-- load: upsert
-- key: country
-- combine: first_seen_at = min, last_seen_at = max
--
-- @country: Country of the events (ISO 3166-1 alpha-2), 'unknown' for those that name none.
-- @name: English short name; the code itself, if ISO 3166-1 does not have it.
-- @region: Africa, Americas, Asia, Europe or Oceania; NULL if it is none of them.
-- @first_seen_at: Time of the first event from it.
-- @last_seen_at: Time of the latest event from it.
WITH
-- Where events came from.
mentions AS (
    SELECT
        coalesce(country, 'unknown')    AS country,
        min(event_time)                 AS first_seen_at,
        max(event_time)                 AS last_seen_at
    FROM events.envelope
    GROUP BY coalesce(country, 'unknown')
),
-- Africa.
africa (country, name) AS (
    VALUES
        ('AO', 'Angola'), ('BF', 'Burkina Faso'), ('BI', 'Burundi'), ('BJ', 'Benin'),
        ('BW', 'Botswana'), ('CD', 'Democratic Republic of the Congo'),
        ('CF', 'Central African Republic'), ('CG', 'Congo'), ('CI', 'Ivory Coast'),
        ('CM', 'Cameroon'), ('CV', 'Cape Verde'), ('DJ', 'Djibouti'), ('DZ', 'Algeria'),
        ('EG', 'Egypt'), ('EH', 'Western Sahara'), ('ER', 'Eritrea'), ('ET', 'Ethiopia'),
        ('GA', 'Gabon'), ('GH', 'Ghana'), ('GM', 'Gambia'), ('GN', 'Guinea'),
        ('GQ', 'Equatorial Guinea'), ('GW', 'Guinea-Bissau'),
        ('IO', 'British Indian Ocean Territory'), ('KE', 'Kenya'), ('KM', 'Comoros'),
        ('LR', 'Liberia'), ('LS', 'Lesotho'), ('LY', 'Libya'), ('MA', 'Morocco'),
        ('MG', 'Madagascar'), ('ML', 'Mali'), ('MR', 'Mauritania'), ('MU', 'Mauritius'),
        ('MW', 'Malawi'), ('MZ', 'Mozambique'), ('NA', 'Namibia'), ('NE', 'Niger'),
        ('NG', 'Nigeria'), ('RE', 'Réunion'), ('RW', 'Rwanda'), ('SC', 'Seychelles'),
        ('SD', 'Sudan'), ('SH', 'Saint Helena'), ('SL', 'Sierra Leone'), ('SN', 'Senegal'),
        ('SO', 'Somalia'), ('SS', 'South Sudan'), ('ST', 'São Tomé and Príncipe'),
        ('SZ', 'Eswatini'), ('TD', 'Chad'), ('TF', 'French Southern Territories'), ('TG', 'Togo'),
        ('TN', 'Tunisia'), ('TZ', 'Tanzania'), ('UG', 'Uganda'), ('YT', 'Mayotte'),
        ('ZA', 'South Africa'), ('ZM', 'Zambia'), ('ZW', 'Zimbabwe')
),
-- Americas.
americas (country, name) AS (
    VALUES
        ('AG', 'Antigua and Barbuda'), ('AI', 'Anguilla'), ('AR', 'Argentina'), ('AW', 'Aruba'),
        ('BB', 'Barbados'), ('BL', 'Saint Barthélemy'), ('BM', 'Bermuda'), ('BO', 'Bolivia'),
        ('BQ', 'Caribbean Netherlands'), ('BR', 'Brazil'), ('BS', 'Bahamas'),
        ('BV', 'Bouvet Island'), ('BZ', 'Belize'), ('CA', 'Canada'), ('CL', 'Chile'),
        ('CO', 'Colombia'), ('CR', 'Costa Rica'), ('CU', 'Cuba'), ('CW', 'Curaçao'),
        ('DM', 'Dominica'), ('DO', 'Dominican Republic'), ('EC', 'Ecuador'),
        ('FK', 'Falkland Islands'), ('GD', 'Grenada'), ('GF', 'French Guiana'), ('GL', 'Greenland'),
        ('GP', 'Guadeloupe'), ('GS', 'South Georgia and the South Sandwich Islands'),
        ('GT', 'Guatemala'), ('GY', 'Guyana'), ('HN', 'Honduras'), ('HT', 'Haiti'),
        ('JM', 'Jamaica'), ('KN', 'Saint Kitts and Nevis'), ('KY', 'Cayman Islands'),
        ('LC', 'Saint Lucia'), ('MF', 'Saint Martin'), ('MQ', 'Martinique'), ('MS', 'Montserrat'),
        ('MX', 'Mexico'), ('NI', 'Nicaragua'), ('PA', 'Panama'), ('PE', 'Peru'),
        ('PM', 'Saint Pierre and Miquelon'), ('PR', 'Puerto Rico'), ('PY', 'Paraguay'),
        ('SR', 'Suriname'), ('SV', 'El Salvador'), ('SX', 'Sint Maarten'),
        ('TC', 'Turks and Caicos Islands'), ('TT', 'Trinidad and Tobago'), ('US', 'United States'),
        ('UY', 'Uruguay'), ('VC', 'Saint Vincent and the Grenadines'), ('VE', 'Venezuela'),
        ('VG', 'British Virgin Islands'), ('VI', 'United States Virgin Islands')
),
-- Asia.
asia (country, name) AS (
    VALUES
        ('AE', 'United Arab Emirates'), ('AF', 'Afghanistan'), ('AM', 'Armenia'),
        ('AZ', 'Azerbaijan'), ('BD', 'Bangladesh'), ('BH', 'Bahrain'), ('BN', 'Brunei'),
        ('BT', 'Bhutan'), ('CN', 'China'), ('CY', 'Cyprus'), ('GE', 'Georgia'), ('HK', 'Hong Kong'),
        ('ID', 'Indonesia'), ('IL', 'Israel'), ('IN', 'India'), ('IQ', 'Iraq'), ('IR', 'Iran'),
        ('JO', 'Jordan'), ('JP', 'Japan'), ('KG', 'Kyrgyzstan'), ('KH', 'Cambodia'),
        ('KP', 'North Korea'), ('KR', 'South Korea'), ('KW', 'Kuwait'), ('KZ', 'Kazakhstan'),
        ('LA', 'Laos'), ('LB', 'Lebanon'), ('LK', 'Sri Lanka'), ('MM', 'Myanmar'),
        ('MN', 'Mongolia'), ('MO', 'Macao'), ('MV', 'Maldives'), ('MY', 'Malaysia'),
        ('NP', 'Nepal'), ('OM', 'Oman'), ('PH', 'Philippines'), ('PK', 'Pakistan'),
        ('PS', 'Palestine'), ('QA', 'Qatar'), ('SA', 'Saudi Arabia'), ('SG', 'Singapore'),
        ('SY', 'Syria'), ('TH', 'Thailand'), ('TJ', 'Tajikistan'), ('TL', 'Timor-Leste'),
        ('TM', 'Turkmenistan'), ('TR', 'Türkiye'), ('TW', 'Taiwan'), ('UZ', 'Uzbekistan'),
        ('VN', 'Vietnam'), ('YE', 'Yemen')
),
-- Europe.
europe (country, name) AS (
    VALUES
        ('AD', 'Andorra'), ('AL', 'Albania'), ('AT', 'Austria'), ('AX', 'Åland Islands'),
        ('BA', 'Bosnia and Herzegovina'), ('BE', 'Belgium'), ('BG', 'Bulgaria'), ('BY', 'Belarus'),
        ('CH', 'Switzerland'), ('CZ', 'Czechia'), ('DE', 'Germany'), ('DK', 'Denmark'),
        ('EE', 'Estonia'), ('ES', 'Spain'), ('FI', 'Finland'), ('FO', 'Faroe Islands'),
        ('FR', 'France'), ('GB', 'United Kingdom'), ('GG', 'Guernsey'), ('GI', 'Gibraltar'),
        ('GR', 'Greece'), ('HR', 'Croatia'), ('HU', 'Hungary'), ('IE', 'Ireland'),
        ('IM', 'Isle of Man'), ('IS', 'Iceland'), ('IT', 'Italy'), ('JE', 'Jersey'),
        ('LI', 'Liechtenstein'), ('LT', 'Lithuania'), ('LU', 'Luxembourg'), ('LV', 'Latvia'),
        ('MC', 'Monaco'), ('MD', 'Moldova'), ('ME', 'Montenegro'), ('MK', 'North Macedonia'),
        ('MT', 'Malta'), ('NL', 'Netherlands'), ('NO', 'Norway'), ('PL', 'Poland'),
        ('PT', 'Portugal'), ('RO', 'Romania'), ('RS', 'Serbia'), ('RU', 'Russia'), ('SE', 'Sweden'),
        ('SI', 'Slovenia'), ('SJ', 'Svalbard and Jan Mayen'), ('SK', 'Slovakia'),
        ('SM', 'San Marino'), ('UA', 'Ukraine'), ('VA', 'Vatican City')
),
-- Oceania.
oceania (country, name) AS (
    VALUES
        ('AS', 'American Samoa'), ('AU', 'Australia'), ('CC', 'Cocos (Keeling) Islands'),
        ('CK', 'Cook Islands'), ('CX', 'Christmas Island'), ('FJ', 'Fiji'), ('FM', 'Micronesia'),
        ('GU', 'Guam'), ('HM', 'Heard Island and McDonald Islands'), ('KI', 'Kiribati'),
        ('MH', 'Marshall Islands'), ('MP', 'Northern Mariana Islands'), ('NC', 'New Caledonia'),
        ('NF', 'Norfolk Island'), ('NR', 'Nauru'), ('NU', 'Niue'), ('NZ', 'New Zealand'),
        ('PF', 'French Polynesia'), ('PG', 'Papua New Guinea'), ('PN', 'Pitcairn Islands'),
        ('PW', 'Palau'), ('SB', 'Solomon Islands'), ('TK', 'Tokelau'), ('TO', 'Tonga'),
        ('TV', 'Tuvalu'), ('UM', 'United States Minor Outlying Islands'), ('VU', 'Vanuatu'),
        ('WF', 'Wallis and Futuna'), ('WS', 'Samoa')
),
-- All of them, with what belongs to no region.
countries AS (
    SELECT country, name, 'Africa' AS region FROM africa
    UNION ALL
    SELECT country, name, 'Americas' FROM americas
    UNION ALL
    SELECT country, name, 'Asia' FROM asia
    UNION ALL
    SELECT country, name, 'Europe' FROM europe
    UNION ALL
    SELECT country, name, 'Oceania' FROM oceania
    UNION ALL
    SELECT 'AQ', 'Antarctica', NULL
    UNION ALL
    SELECT 'unknown', 'Unknown', NULL
)
SELECT
    mentions.country,
    coalesce(countries.name, mentions.country)  AS name,
    countries.region,
    mentions.first_seen_at,
    mentions.last_seen_at
FROM mentions
LEFT JOIN countries ON countries.country = mentions.country
