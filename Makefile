# The commands, for people. Each is one line: what it does is in ops/.
STACK ?= dev
# What is given reaches a command through its environment, as it was typed: neither make nor a shell finds anything in it to expand. Only CMD
# and ARGS are pieces of a shell's line.
given := APP DIR FILE FORMAT IMAGE KEY NUMBER OUT PAGE SERVICE SINCE STACK URL
$(foreach name,$(given),$(if $(filter command,$(origin $(name))),$(eval override $(name) := $$(value $(name)))$(eval export $(name))))
export STACK
# Its own Python where it is there: one found through a version manager takes longer to start than all else together.
ops := $(or $(wildcard .venv/bin/python),python3) ops/bootstrap.py
stack = --stack "$$STACK"
json = $(if $(JSON),--json)
service = $(if $(SERVICE),--service "$$SERVICE")

.DEFAULT_GOAL := help
.PHONY: help setup up preview rotate rename down destroy wipe env ps logs exec psql restart rebuild scale smoke doctor backup backups verify-backup restore upgrade upgrade-postgres graph compose status urls open \
        test lint test-unit test-app contract test-e2e test-faults bench lock

help:  ## List the targets
	@echo "make TARGET [STACK=dev]"
	@awk -F ':.*## ' '/^[a-z][a-z0-9-]*:.*## / { printf "  %-17s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

up:  ## Bring the environment up, or to what .env says now; repair what is away
	@$(ops) up $(stack)

rotate:  ## New values for the generated secrets of one service [SERVICE=db], or of all, after a question (none with YES=1)
	@$(ops) rotate $(stack) $(service)

rename:  ## Rename a database's user and the database to what .env says now [SERVICE=db]; the data stays
	@$(ops) rename $(stack) $(service)

down:  ## Take it down; the data stays
	@$(ops) down $(stack)

destroy: down  ## The same as down

preview:  ## Show what `make up` would change
	@$(ops) preview $(stack)

wipe:  ## Take it down and remove the data, after a question (none with YES=1)
	@$(ops) wipe $(stack)

setup:  ## Only make what the machine lacks: Python packages, Pulumi, Docker, images
	@$(ops) setup $(stack)

env:  ## Print what bare pulumi needs: eval "$(make -s env)"
	@$(ops) env $(stack)

ps:  ## List the containers
	@$(ops) ps $(stack)

doctor:  ## Say what is wrong, or soon will be, and what mends it [JSON=1]
	@$(ops) doctor $(stack) $(json)

status:  ## Watch the services: state, health, restarts, CPU, memory [ONCE=1, JSON=1]
	@$(ops) status $(stack) $(if $(ONCE),--once) $(json)

urls:  ## List the pages and interfaces
	@$(ops) urls $(stack) $(json)

open:  ## Open a page in the browser: PAGE=app, rabbitmq-ui, minio-console ...
	@$(ops) open $(stack) $(if $(PAGE),--page "$$PAGE")

logs:  ## Follow the logs of all services, or of one [SERVICE=db SINCE=10m FOLLOW=0]
	@$(ops) logs $(stack) $(service) $(if $(SINCE),--since "$$SINCE") $(if $(filter 0,$(FOLLOW)),--no-follow)

exec:  ## Run a command in a container: SERVICE=app CMD="python -V" [NUMBER=2]; a shell without CMD
	@$(ops) exec $(stack) $(service) $(if $(NUMBER),--number "$$NUMBER") -- $(CMD)

psql:  ## Open psql on db, or on SERVICE=evolution_postgres
	@$(ops) psql $(stack) $(service)

restart:  ## Restart one service [SERVICE=redis], or all, and wait until ready
	@$(ops) restart $(stack) $(service)

rebuild:  ## Build a service's image again [SERVICE=app] and bring it up
	@$(ops) rebuild $(stack) $(service)

scale:  ## Run APP=3 app containers: writes APP_REPLICAS to .env, then up
	@$(ops) scale $(stack) --app $(if $(APP),"$$APP",$(error say how many: make scale APP=3))

smoke:  ## Try the application from inside its container
	@$(ops) smoke $(stack)

backup:  ## Write one archive of all data, while it serves [FILE=, DIR=, KEY=, JSON=1]
	@$(ops) backup $(stack) $(json)

backups:  ## List the backups [DIR=, JSON=1]
	@$(ops) backups $(stack) $(json)

verify-backup:  ## Read an archive to its end, and say what is in it: FILE=... [JSON=1]
	@$(ops) verify-backup $(stack) $(json)

restore:  ## Put a backup in the place of the stack's data, after a question: FILE=...
	@$(ops) restore $(stack)

upgrade:  ## Tell what images `make up` would change, and which have a newer one [JSON=1]
	@$(ops) upgrade $(stack) $(json)

upgrade-postgres:  ## Move a database to a newer major version: SERVICE=db IMAGE=postgres:17
	@$(ops) upgrade-postgres $(stack) $(service) --image $(if $(IMAGE),"$$IMAGE",$(error say to which image: make upgrade-postgres IMAGE=postgres:17))

graph:  ## Draw the topology: FORMAT=svg or mermaid, OUT=file
	@$(ops) graph $(stack) $(if $(FORMAT),--format "$$FORMAT") $(if $(OUT),--out "$$OUT")

compose:  ## Write an equivalent compose file, in DIR or compose/STACK
	@$(ops) compose $(stack) $(if $(DIR),--folder "$$DIR")

test:  ## Lint, types, unit, application, contract and end-to-end tests, one fault of each kind; no whole backups
	@$(ops) test

lint:  ## Lint rules, format, types
	@$(ops) lint

test-unit:  ## Unit tests: no Docker, seconds
	@$(ops) test-unit $(ARGS)

test-app:  ## Tests of the application and the simulator
	@$(ops) test-app $(ARGS)

contract:  ## Tests of Evolution API's contract: on the simulator, or on URL=... KEY=...
	@$(if $(URL),EVOLUTION_CONTRACT_URL="$$URL" EVOLUTION_CONTRACT_KEY="$$KEY") $(ops) contract $(ARGS)

test-e2e:  ## Tests on the real engine
	@$(ops) test-e2e $(ARGS)

test-faults:  ## Damage each service in many ways: what is told, what is lost, what mends it
	@$(ops) test-faults $(ARGS)

bench:  ## Measure set-up, start, no-op, stop, idle memory and CPU
	@$(ops) bench

lock:  ## Pin the requirements, those that are new; all at their newest versions with UPGRADE=1
	@$(ops) lock $(if $(filter 1,$(UPGRADE)),--upgrade)
