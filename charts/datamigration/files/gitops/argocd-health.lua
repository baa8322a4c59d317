-- Health of a DataMigration for Argo CD: key
-- resource.customizations.health.datamigration.dev_DataMigration of the ConfigMap argocd-cm.
--
-- Ready, Reconciling and Stalled follow kstatus. None of them true means that it is a person's turn, as
-- planned: a dry run or the preview of a restore to be promoted, a suspended migration. That is Suspended and
-- never Degraded. A restored migration, as spec.state requests, is Healthy.
local health = {status = "Progressing", message = "Waiting for the datamigration operator"}

if obj.metadata.deletionTimestamp ~= nil or obj.status == nil or obj.status.conditions == nil then
  return health
end
if obj.status.observedGeneration ~= obj.metadata.generation then
  return health
end

local isTrue = {}
for _, condition in ipairs(obj.status.conditions) do
  isTrue[condition.type] = condition.status == "True"
  if condition.type == "Ready" then
    health.message = condition.message
  end
end

if isTrue.Stalled then
  health.status = "Degraded"
elseif isTrue.Ready then
  health.status = "Healthy"
elseif isTrue.Reconciling == nil and isTrue.Ready == false then
  health.status = "Suspended"
end
return health
