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

create table if not exists proxy (
    id text primary key,
    enabled boolean not null,
    host varchar(100) not null,
    port varchar(100) not null,
    protocol varchar(100) not null,
    username varchar(100) not null,
    password varchar(100) not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    instance_id text not null unique references instance (id) on delete cascade
);

-- All that was said, as WhatsApp knows it. What Evolution itself would have stored is `saved`, and only that is found through its API.
-- `status` is what Evolution was told of a message; `reached` (0 to 5: ERROR, PENDING, SERVER_ACK, DELIVERY_ACK, READ, PLAYED) is how far
-- it really came, which is further while the instance is offline. `held` messages wait for the instance to come back. `seen`: the instance
-- read it. `edited`: what the message says since it was edited, which 2.2.3 doesn't store.
create table if not exists message (
    id text primary key,
    seq bigint generated always as identity,
    instance_id text not null references instance (id) on delete cascade,
    remote_jid varchar(100) not null,
    key_id varchar(100) not null,
    from_me boolean not null,
    key jsonb not null,
    push_name varchar(100),
    message_type varchar(100) not null,
    message jsonb not null,
    context_info jsonb,
    source text not null,
    message_timestamp integer not null,
    status varchar(30),
    saved boolean not null,
    held boolean not null default false,
    reached smallint not null,
    seen boolean not null default false,
    edited text
);
create index if not exists message_of_chat on message (instance_id, remote_jid, message_timestamp desc, seq desc);
create index if not exists message_of_instance on message (instance_id, message_timestamp desc, seq desc);
create index if not exists message_by_key on message (key_id, instance_id);
create index if not exists message_held on message (instance_id) where held;

create table if not exists message_update (
    id text primary key,
    seq bigint generated always as identity,
    key_id varchar(100) not null,
    remote_jid varchar(100) not null,
    from_me boolean not null,
    participant varchar(100),
    status varchar(30) not null,
    message_id text not null references message (id) on delete cascade,
    instance_id text not null
);
create index if not exists message_update_of_message on message_update (message_id);
create index if not exists message_update_of_instance on message_update (instance_id);

-- The files of messages: WhatsApp's servers keep them, whatever MinIO does. `object` is the name in the bucket, null without S3.
create table if not exists media (
    id text primary key,
    object varchar(500),
    type varchar(100) not null,
    mimetype varchar(100) not null,
    content bytea not null,
    created_at timestamptz not null default now(),
    message_id text not null unique references message (id) on delete cascade,
    instance_id text not null
);
create index if not exists media_of_instance on media (instance_id);

-- Those whom an instance talks with. `saved` are those that Evolution itself would have stored; `online` is the phone's business.
create table if not exists contact (
    id text primary key,
    remote_jid varchar(100) not null,
    push_name varchar(100),
    profile_pic_url varchar(500),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    saved boolean not null default false,
    online boolean not null default true,
    instance_id text not null references instance (id) on delete cascade,
    unique (remote_jid, instance_id)
);
create index if not exists contact_of_instance on contact (instance_id);

-- How the simulated phones behave: one row for each setting that was changed.
create table if not exists phone_setting (
    name text primary key,
    value jsonb not null
);
