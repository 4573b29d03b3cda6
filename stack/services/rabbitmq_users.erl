%% Evaluated by RabbitMQ's node at every start: removes the users that the settings had once and have no longer.
%%
%% The import of definitions only adds and changes, so a renamed user would keep its old name's password for ever. Those that came from
%% the settings carry a tag of ours; users that people made by hand don't, and stay. RabbitMQ's own guest goes unless it is wanted: the
%% broker takes log-ins from other containers.
%%
%% Only functions that 3.10 (Debian's) and 4.x (rabbitmq:management) both have.
spawn(fun() ->
    Done = "/tmp/users-reconciled",
    _ = file:delete(Done),
    Await = fun Again() -> case rabbit:await_startup() of ok -> ok; _ -> Again() end end,
    try
        ok = Await(),
        {ok, Text} = file:read_file("/etc/rabbitmq/definitions.json"),
        #{<<"users">> := Users} = rabbit_json:decode(Text),
        Wanted = [Name || #{<<"name">> := Name} <- Users],
        Found = [{proplists:get_value(user, User), proplists:get_value(tags, User)} || User <- rabbit_auth_backend_internal:list_users()],
        Former = [Name || {Name, Tags} <- Found, not lists:member(Name, Wanted), Name =:= <<"guest">> orelse lists:member('of-the-settings', Tags)],
        [begin
            ok = rabbit_auth_backend_internal:delete_user(Name, <<"settings">>),
            logger:notice("user '~ts' is removed: the settings have another one now", [Name])
         end || Name <- Former],
        ok = file:write_file(Done, <<>>)
    catch Class:Reason:Stack ->
        logger:error("the users could not be compared with the settings: ~tp", [{Class, Reason, Stack}])
    end
end).
