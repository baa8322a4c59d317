#!/bin/sh
# Gives every product a status, so that the next release can require one. A product that has a status
# keeps it, so the program can be run again.
set -eu

# EDIT: the table
table=products

migrate() {
  # EDIT: what changes in an item
  aws dynamodb update-item --table-name "$table" --key "$(key "$1")" \
    --update-expression "SET #status = :status" \
    --condition-expression "attribute_exists(id) AND attribute_not_exists(#status)" \
    --expression-attribute-names '{"#status": "status"}' \
    --expression-attribute-values '{":status": {"S": "active"}}' 2>&1
}

# In JSON, a backslash is in front of a quote and of a backslash.
key() {
  printf '{"id": {"S": "%s"}}' "$(printf '%s' "$1" | sed 's/[\\"]/\\&/g')"
}

# EDIT: which items
without_status=$(aws dynamodb scan --table-name "$table" --output text \
  --filter-expression "attribute_not_exists(#status)" \
  --expression-attribute-names '{"#status": "status"}' --query "Items[].[id.S]")
changed=0
while IFS= read -r id; do
  if [ -z "$id" ]; then continue; fi
  if answer=$(migrate "$id"); then
    changed=$((changed + 1))
  else
    case $answer in
      *ConditionalCheckFailedException*) ;; # others gave it a status, or deleted it
      *)
        echo "$answer" >&2
        exit 1
        ;;
    esac
  fi
done <<END
$without_status
END
echo "Done: $changed products changed"
