#!/bin/sh
# Gives every product a status, so that the next release can require one. A product that has a status
# keeps it, so the program can be run again.
set -eu

# EDIT: the table
table=products

migrate() {
  # EDIT: what changes in an item
  aws dynamodb update-item --table-name "$table" --key "{\"id\": {\"S\": \"$1\"}}" \
    --update-expression "SET #status = :status" \
    --condition-expression "attribute_exists(id) AND attribute_not_exists(#status)" \
    --expression-attribute-names '{"#status": "status"}' \
    --expression-attribute-values '{":status": {"S": "active"}}'
}

# EDIT: which items
without_status=$(aws dynamodb scan --table-name "$table" --output text \
  --filter-expression "attribute_not_exists(#status)" \
  --expression-attribute-names '{"#status": "status"}' --query "Items[].[id.S]")
changed=0
for id in $without_status; do
  migrate "$id"
  changed=$((changed + 1))
done
echo "Done: $changed products changed"
