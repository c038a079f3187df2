"""The settings that an owner can choose: those of districts, connections and schools."""
