"""What an owner can choose: the settings of districts, connections and schools."""
