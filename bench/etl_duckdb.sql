-- The bundled game's star schema in DuckDB's dialect: the same tables from the same events, each
-- in the form that is quickest there. `arg_min` stands for "first value by time", where a tie may
-- fall differently.

CREATE VIEW envelope AS
SELECT event_time, event_date, player_id, session_id, platform, country, app_version, received_at
FROM read_parquet(getvariable('events') || '/*.parquet', union_by_name = true);
CREATE VIEW purchase AS FROM read_parquet(getvariable('events') || '/purchase.parquet');
CREATE VIEW ad_impression AS FROM read_parquet(getvariable('events') || '/ad_impression.parquet');
CREATE VIEW item_acquired AS FROM read_parquet(getvariable('events') || '/item_acquired.parquet');
CREATE VIEW player_registered AS
FROM read_parquet(getvariable('events') || '/player_registered.parquet');

-- Facts and dimensions.

CREATE TABLE dim_player AS
WITH activity AS (
    SELECT
        player_id,
        min(event_time)                                             AS first_event_at,
        min(event_date)                                             AS cohort_date,
        arg_min(coalesce(platform, 'unknown'), event_time)          AS first_platform,
        arg_min(coalesce(country, 'unknown'), event_time)           AS first_country,
        max(event_time)                                             AS last_event_at,
        max(event_date)                                             AS last_active_date,
        max(received_at)                                            AS last_received_at,
        count(*)                                                    AS events
    FROM envelope
    GROUP BY player_id
),
registration AS (
    SELECT
        player_id,
        min(event_time)                                     AS registered_at,
        min(event_date)                                     AS registered_date,
        arg_min(coalesce(platform, 'unknown'), event_time)  AS registered_platform,
        arg_min(coalesce(country, 'unknown'), event_time)   AS registered_country,
        arg_min(display_name, event_time)                   AS display_name,
        arg_min(acquisition_channel, event_time)            AS acquisition_channel
    FROM player_registered
    GROUP BY player_id
),
payment AS (
    SELECT
        player_id,
        min(event_time)                                     AS first_purchase_at,
        min(event_date)                                     AS first_purchase_date,
        arg_min(coalesce(platform, 'unknown'), event_time)  AS first_purchase_platform,
        arg_min(coalesce(country, 'unknown'), event_time)   AS first_purchase_country,
        max(event_time)                                     AS last_purchase_at,
        count(*)                                            AS purchases
    FROM purchase
    GROUP BY player_id
)
SELECT * REPLACE (coalesce(purchases, 0) AS purchases)
FROM activity
LEFT JOIN registration USING (player_id)
LEFT JOIN payment USING (player_id);

CREATE TABLE dim_date AS
WITH bounds AS (
    SELECT
        min(cohort_date)                    AS first_date,
        max(last_active_date)               AS last_date,
        CAST(max(last_received_at) AS DATE) AS received_date
    FROM dim_player
),
days AS (
    SELECT
        CAST(unnest(generate_series(first_date, last_date, INTERVAL 1 DAY)) AS DATE) AS date,
        received_date
    FROM bounds
)
SELECT
    date,
    year(date)          AS year,
    month(date)         AS month,
    day(date)           AS day_of_month,
    isodow(date)        AS day_of_week,
    week(date)          AS iso_week,
    isodow(date) >= 6   AS is_weekend,
    date < received_date AS is_over
FROM days;

CREATE TABLE dim_item AS
WITH mentions AS (
    SELECT item_id, item_name, item_category AS category, NULL AS rarity, event_time FROM purchase
    UNION ALL
    SELECT item_id, item_name, category, rarity, event_time FROM item_acquired
)
SELECT
    item_id,
    arg_max_null(item_name, event_time) AS item_name,
    arg_max(category, event_time)       AS category,
    max(rarity)                         AS rarity,
    min(event_time)                     AS first_seen_at,
    max(event_time)                     AS last_seen_at
FROM mentions
GROUP BY item_id;

CREATE TABLE fact_ad_impression AS
SELECT
    event_id,
    event_date                      AS date,
    event_time                      AS shown_at,
    player_id,
    session_id,
    coalesce(platform, 'unknown')   AS platform,
    coalesce(country, 'unknown')    AS country,
    network,
    placement,
    ad_format,
    revenue_usd
FROM ad_impression;

CREATE TABLE fact_player_day AS
SELECT
    event_date                      AS date,
    player_id,
    coalesce(platform, 'unknown')   AS platform,
    coalesce(country, 'unknown')    AS country,
    count(*)                        AS events,
    min(event_time)                 AS first_event_at,
    max(event_time)                 AS last_event_at
FROM envelope
GROUP BY ALL;

CREATE TABLE fact_purchase AS
SELECT
    event_id,
    event_date                                      AS date,
    event_time                                      AS purchased_at,
    player_id,
    session_id,
    coalesce(platform, 'unknown')                   AS platform,
    coalesce(country, 'unknown')                    AS country,
    app_version,
    purchase_id,
    item_id,
    price_usd,
    quantity,
    CAST(price_usd * quantity AS DECIMAL(14, 2))    AS revenue_usd,
    store
FROM purchase;

CREATE TABLE fact_session AS
SELECT
    session_id,
    arg_min(player_id, event_time)                          AS player_id,
    min(event_date)                                         AS session_date,
    min(event_time)                                         AS started_at,
    max(event_time)                                         AS ended_at,
    arg_min(coalesce(platform, 'unknown'), event_time)      AS platform,
    arg_min(coalesce(country, 'unknown'), event_time)       AS country,
    arg_min(coalesce(app_version, 'unknown'), event_time)   AS app_version,
    count(*)                                                AS events
FROM envelope
WHERE session_id IS NOT NULL
GROUP BY session_id;

-- Marts.

CREATE TABLE mart_daily_kpi AS
WITH last_activity AS (
    SELECT
        day.date,
        coalesce(platform, 'all')           AS platform,
        coalesce(country, 'all')            AS country,
        min(day.date - activity.date)       AS days_ago
    FROM fact_player_day AS activity
    JOIN dim_date AS day ON day.date BETWEEN activity.date AND activity.date + 29
    GROUP BY GROUPING SETS (
        (day.date, player_id),
        (day.date, player_id, platform),
        (day.date, player_id, country),
        (day.date, player_id, platform, country)
    )
),
active AS (
    SELECT
        date,
        platform,
        country,
        count(*) FILTER (days_ago = 0)  AS dau,
        count(*) FILTER (days_ago < 7)  AS wau,
        count(*)                        AS mau
    FROM last_activity
    GROUP BY date, platform, country
),
newcomers AS (
    SELECT
        cohort_date                     AS date,
        coalesce(first_platform, 'all') AS platform,
        coalesce(first_country, 'all')  AS country,
        count(*)                        AS new_players
    FROM dim_player
    GROUP BY cohort_date, CUBE (first_platform, first_country)
),
play AS (
    SELECT
        session_date                AS date,
        coalesce(platform, 'all')   AS platform,
        coalesce(country, 'all')    AS country,
        count(*)                    AS sessions,
        sum(epoch_us(ended_at) - epoch_us(started_at)) AS playtime_micros
    FROM fact_session
    GROUP BY session_date, CUBE (platform, country)
),
purchases AS (
    SELECT
        date,
        coalesce(platform, 'all')   AS platform,
        coalesce(country, 'all')    AS country,
        sum(revenue_usd)            AS iap_revenue_usd,
        count(DISTINCT player_id)   AS payers
    FROM fact_purchase
    GROUP BY date, CUBE (platform, country)
),
ads AS (
    SELECT
        date,
        coalesce(platform, 'all')   AS platform,
        coalesce(country, 'all')    AS country,
        sum(revenue_usd)            AS ad_revenue_usd
    FROM fact_ad_impression
    GROUP BY date, CUBE (platform, country)
),
converts AS (
    SELECT
        first_purchase_date                         AS date,
        coalesce(first_purchase_platform, 'all')    AS platform,
        coalesce(first_purchase_country, 'all')     AS country,
        count(*)                                    AS first_time_payers
    FROM dim_player
    WHERE first_purchase_date IS NOT NULL
    GROUP BY first_purchase_date, CUBE (first_purchase_platform, first_purchase_country)
),
totals AS (
    SELECT
        date,
        platform,
        country,
        coalesce(new_players, 0)        AS new_players,
        dau,
        wau,
        mau,
        coalesce(sessions, 0)           AS sessions,
        coalesce(playtime_micros, 0)    AS playtime_micros,
        coalesce(iap_revenue_usd, 0)    AS iap_revenue_usd,
        coalesce(ad_revenue_usd, 0)     AS ad_revenue_usd,
        coalesce(payers, 0)             AS payers,
        coalesce(first_time_payers, 0)  AS first_time_payers
    FROM active
    LEFT JOIN newcomers USING (date, platform, country)
    LEFT JOIN play USING (date, platform, country)
    LEFT JOIN purchases USING (date, platform, country)
    LEFT JOIN ads USING (date, platform, country)
    LEFT JOIN converts USING (date, platform, country)
)
SELECT
    date,
    platform,
    country,
    new_players,
    dau,
    wau,
    mau,
    CAST(dau AS DOUBLE) / mau                                           AS stickiness,
    sessions,
    CAST(playtime_micros AS DOUBLE) / 1000000                           AS playtime_seconds,
    CAST(playtime_micros AS DOUBLE) / 1000000 / nullif(sessions, 0)     AS avg_session_seconds,
    CAST(iap_revenue_usd AS DECIMAL(18, 2))                             AS iap_revenue_usd,
    CAST(ad_revenue_usd AS DECIMAL(18, 6))                              AS ad_revenue_usd,
    CAST(iap_revenue_usd + ad_revenue_usd AS DECIMAL(18, 6))            AS total_revenue_usd,
    CAST(iap_revenue_usd + ad_revenue_usd AS DOUBLE) / nullif(dau, 0)   AS arpdau,
    payers,
    CAST(iap_revenue_usd AS DOUBLE) / nullif(payers, 0)                 AS arppu,
    CAST(payers AS DOUBLE) / nullif(dau, 0)                             AS conversion,
    first_time_payers
FROM totals;

CREATE TABLE cells AS
WITH sizes AS (
    SELECT
        cohort_date,
        coalesce(first_platform, 'all') AS platform,
        coalesce(first_country, 'all')  AS country,
        count(*)                        AS cohort_size
    FROM dim_player
    GROUP BY cohort_date, CUBE (first_platform, first_country)
)
SELECT cohort_date, platform, country, cohort_size, day_n
FROM sizes, range(31) AS numbers(day_n)
WHERE cohort_date + CAST(day_n AS INTEGER) <= (SELECT max(date) FROM dim_date WHERE is_over);

CREATE TABLE mart_ltv AS
WITH revenue AS (
    SELECT player_id, date, CAST(revenue_usd AS DECIMAL(18, 6)) AS revenue_usd FROM fact_purchase
    UNION ALL
    SELECT player_id, date, revenue_usd FROM fact_ad_impression
),
daily AS (
    SELECT
        cohort_date,
        coalesce(first_platform, 'all') AS platform,
        coalesce(first_country, 'all')  AS country,
        day_n,
        sum(revenue_usd)                AS revenue_usd
    FROM (
        SELECT cohort_date, first_platform, first_country, date - cohort_date AS day_n, revenue_usd
        FROM revenue
        JOIN dim_player USING (player_id)
    )
    GROUP BY cohort_date, day_n, CUBE (first_platform, first_country)
),
running AS (
    SELECT
        cells.*,
        CAST(sum(coalesce(revenue_usd, 0)) OVER (
            PARTITION BY cohort_date, platform, country ORDER BY day_n
        ) AS DECIMAL(18, 6)) AS cumulative_revenue_usd
    FROM cells
    LEFT JOIN daily USING (cohort_date, platform, country, day_n)
)
SELECT
    cohort_date,
    platform,
    country,
    day_n,
    cohort_size,
    cumulative_revenue_usd,
    CAST(cumulative_revenue_usd AS DOUBLE) / cohort_size AS ltv
FROM running;

CREATE TABLE mart_retention AS
WITH active AS (
    SELECT
        cohort_date,
        coalesce(first_platform, 'all') AS platform,
        coalesce(first_country, 'all')  AS country,
        day_n,
        count(*)                        AS active_players
    FROM (
        SELECT DISTINCT
            player_id, cohort_date, first_platform, first_country, date - cohort_date AS day_n
        FROM fact_player_day
        JOIN dim_player USING (player_id)
        WHERE date - cohort_date BETWEEN 0 AND 30
    )
    GROUP BY cohort_date, day_n, CUBE (first_platform, first_country)
),
rolling AS (
    SELECT
        cohort_date,
        coalesce(first_platform, 'all') AS platform,
        coalesce(first_country, 'all')  AS country,
        day_n,
        count(*)                        AS rolling_active_players
    FROM (
        SELECT
            cohort_date, first_platform, first_country,
            unnest(range(least(last_active_date - cohort_date, 30) + 1)) AS day_n
        FROM dim_player
    )
    GROUP BY cohort_date, day_n, CUBE (first_platform, first_country)
)
SELECT
    cohort_date,
    platform,
    country,
    day_n,
    cohort_size,
    coalesce(active_players, 0)                                     AS active_players,
    CAST(coalesce(active_players, 0) AS DOUBLE) / cohort_size       AS retention,
    coalesce(rolling_active_players, 0)                             AS rolling_active_players,
    CAST(coalesce(rolling_active_players, 0) AS DOUBLE) / cohort_size AS rolling_retention
FROM cells
LEFT JOIN active USING (cohort_date, platform, country, day_n)
LEFT JOIN rolling USING (cohort_date, platform, country, day_n);
