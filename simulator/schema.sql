-- The simulator's own tables. They live in a schema beside the one that DATABASE_CONNECTION_URI names, which stays empty:
-- Prisma's migrations refuse a schema that isn't (P3005), so the real Evolution API can still move into the same database.
create table if not exists instance (
    id text primary key,
    name varchar(255) not null unique,
    connection_status text not null check (connection_status in ('open', 'close', 'connecting')),
    owner_jid varchar(100),
    profile_name varchar(100),
    profile_pic_url varchar(500),
    integration varchar(100),
    number varchar(100),
    business_id varchar(100),
    token varchar(255),
    client_name varchar(100),
    disconnection_reason_code integer,
    disconnection_object jsonb,
    disconnection_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);

create table if not exists setting (
    id text primary key,
    reject_call boolean not null default false,
    msg_call varchar(100),
    groups_ignore boolean not null default false,
    always_online boolean not null default false,
    read_messages boolean not null default false,
    read_status boolean not null default false,
    sync_full_history boolean not null default false,
    wavoip_token varchar(100),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    instance_id text not null unique references instance (id) on delete cascade
);

-- Where an instance's own events go: one row for each of webhook, rabbitmq, websocket and sqs that was set.
create table if not exists event_target (
    id text primary key,
    kind text not null check (kind in ('webhook', 'rabbitmq', 'websocket', 'sqs')),
    enabled boolean not null,
    events jsonb not null,
    url varchar(500),
    headers jsonb,
    by_events boolean,
    base64 boolean,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    instance_id text not null references instance (id) on delete cascade,
    unique (instance_id, kind)
);
